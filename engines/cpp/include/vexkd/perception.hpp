// The runtime's C++17 face, header-only over the C ABI (perception.h), which says what every field means.
//
//   vexkd::Result<vexkd::Perception> opened = vexkd::Perception::open("student.vexkd");
//   if (!opened.ok()) return fail(opened.status().message());
//   vexkd::Perception& model = *opened;
//   vexkd::Frame frame(model.info());
//   frame.add_sweep({points});
//   vexkd::Result<vexkd::Detections> found = model.detect(frame);
//
// Nothing throws but what is asked to (value_or_throw), so that it compiles with -fno-exceptions and -fno-rtti. After
// open() a call that succeeds allocates nothing; a failure allocates its message.
#pragma once

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "vexkd/frame.hpp"
#include "vexkd/info.hpp"
#include "vexkd/span.hpp"
#include "vexkd/status.hpp"

namespace vexkd {

using Box = vexkd_box;
using Times = vexkd_times;

/** How a bundle is opened; see vexkd_perception_options. */
struct Options {
  Backend backend = Backend::automatic;
  int32_t threads = 0;  ///< of work on the CPU; 0: all this process may use
  int32_t device = 0;   ///< CUDA device
  int32_t warm_up = 1;
  bool cuda_graph = false;
  std::optional<float> score_threshold;  ///< the bundle's own without
  std::string onnxruntime, tensorrt;     ///< paths of libraries; found by the runtime where empty
};

/** Boxes of a frame, best first. */
struct Detections {
  Span<const Box> boxes;
  int32_t dropped_boxes;   ///< that did not fit into the caller's buffer
  int32_t dropped_points;  ///< that did not fit into Info::point_capacity
  Times times;
};

/** Map of a frame. */
struct Map {
  Span<const float> logits;  ///< (classes, height, width): rows along y, columns along x
  int32_t classes, height, width;
  int32_t dropped_points;
  Times times;
};

/** A model that is ready to run. One thread at a time; one Perception per thread. */
class Perception {
 public:
  /** Takes some 0.1 to 10 s. Statuses: those of vexkd_perception_open. */
  static Result<Perception> open(const std::string& bundle, const Options& options = {}) {
    vexkd_perception_options raw{};
    Status status = Status::of(vexkd_perception_default_options(&raw, sizeof raw));
    if (!status.ok()) return status;
    raw.backend = static_cast<vexkd_backend>(options.backend);
    raw.threads = options.threads;
    raw.device = options.device;
    raw.warm_up = options.warm_up;
    raw.cuda_graph = options.cuda_graph ? 1 : 0;
    if (options.score_threshold) raw.score_threshold = *options.score_threshold;
    if (!options.onnxruntime.empty()) raw.onnxruntime = options.onnxruntime.c_str();
    if (!options.tensorrt.empty()) raw.tensorrt = options.tensorrt.c_str();
    vexkd_perception* opened = nullptr;
    status = Status::of(vexkd_perception_open(bundle.c_str(), &raw, &opened));
    Handle handle(opened);
    if (!status.ok()) return status;
    vexkd_perception_info info{};
    info.struct_size = sizeof info;
    status = Status::of(vexkd_perception_describe(opened, &info));
    if (!status.ok()) return status;
    return Perception(std::move(handle), Info(info));
  }

  const Info& info() const noexcept { return info_; }

  /** For the frames that follow; before every frame where ego motion between camera and LiDAR counts. A model without
   * cameras has nothing to update. */
  Status update_calibration(const Calibration& calibration) {
    if (info_.cameras.empty()) return Status();
    Status status = calibration.check();
    if (!status.ok()) return status;
    const vexkd_calibration raw = calibration.raw();
    return Status::of(vexkd_perception_update_calibration(handle_.get(), &raw));
  }

  /** Boxes in memory of this model, valid until its next detect(). */
  Result<Detections> detect(const Frame& frame) { return detect(frame, boxes_); }

  /** Boxes in the caller's memory; Info::max_boxes is always enough. */
  Result<Detections> detect(const Frame& frame, Span<Box> boxes) {
    Status status = frame.check();
    if (!status.ok()) return status;
    const vexkd_frame raw = frame.raw();
    vexkd_detections found{};
    found.struct_size = sizeof found;
    found.boxes = boxes.data();
    found.capacity = static_cast<int32_t>(std::min<size_t>(boxes.size(), std::numeric_limits<int32_t>::max()));
    status = Status::of(vexkd_perception_detect(handle_.get(), &raw, &found));
    if (!status.ok()) return status;
    return Detections{
        {found.boxes, static_cast<size_t>(found.count)}, found.dropped_boxes, found.dropped_points, found.times};
  }

  /** Map in memory of this model, valid until its next segment(). */
  Result<Map> segment(const Frame& frame) { return segment(frame, logits_); }

  /** Map in the caller's memory, Info::map_size() floats. */
  Result<Map> segment(const Frame& frame, Span<float> logits) {
    Status status = frame.check();
    if (!status.ok()) return status;
    const vexkd_frame raw = frame.raw();
    vexkd_map found{};
    found.struct_size = sizeof found;
    found.logits = logits.data();
    found.capacity = logits.size();
    status = Status::of(vexkd_perception_segment(handle_.get(), &raw, &found));
    if (!status.ok()) return status;
    return Map{{found.logits, info_.map_size()},
               static_cast<int32_t>(info_.class_names.size()),
               info_.map_height,
               info_.map_width,
               found.dropped_points,
               found.times};
  }

  /** The C handle, still owned by this object; null after a move. */
  vexkd_perception* get() const noexcept { return handle_.get(); }

 private:
  struct Close {
    void operator()(vexkd_perception* handle) const noexcept { vexkd_perception_close(handle); }
  };
  using Handle = std::unique_ptr<vexkd_perception, Close>;

  Perception(Handle handle, Info info)
      : handle_(std::move(handle)),
        info_(std::move(info)),
        boxes_(static_cast<size_t>(info_.max_boxes)),
        logits_(info_.map_size()) {}

  Handle handle_;
  Info info_;
  std::vector<Box> boxes_;
  std::vector<float> logits_;
};

}  // namespace vexkd
