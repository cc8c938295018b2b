#include "model.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "failure.hpp"
#include "onnxruntime_library.hpp"
#include "text.hpp"
#include "vexkd/accumulate_sweeps.h"

namespace vexkd::runtime {
namespace {

// Adds the time of a scope to a stage.
class Timed {
 public:
  explicit Timed(double& seconds) : seconds_(seconds) {}
  ~Timed() { seconds_ = std::chrono::duration<double>(Clock::now() - start_).count(); }
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  double& seconds_;
  Clock::time_point start_ = Clock::now();
};

std::unique_ptr<Backend> open_backend(const Bundle& bundle, const vexkd_perception_options& options) {
  switch (options.backend) {
    case VEXKD_BACKEND_TENSORRT:
      return open_tensorrt(bundle, options);
    case VEXKD_BACKEND_ONNXRUNTIME_CUDA:
      return open_onnxruntime(bundle, options, true);
    case VEXKD_BACKEND_ONNXRUNTIME_CPU:
      return open_onnxruntime(bundle, options, false);
    default: {
      std::string reason;
      if (tensorrt_can_run(bundle, options, reason)) return open_tensorrt(bundle, options);
      return open_onnxruntime(bundle, options, onnxruntime_can_use_gpu(options));
    }
  }
}

std::vector<const char*> pointers(const std::vector<std::string>& names) {
  std::vector<const char*> list;
  for (const std::string& name : names) list.push_back(name.c_str());
  return list;
}

size_t index_of(const std::vector<Tensor>& tensors, const char* name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const Tensor& t) { return t.name == name; });
  if (found == tensors.end()) fail(VEXKD_DAMAGED, text("the manifest lists no ", name));
  return static_cast<size_t>(found - tensors.begin());
}

vexkd_grid grid_of(const GridSection& grid) {
  const float range[6] = {static_cast<float>(grid.x[0]), static_cast<float>(grid.y[0]), static_cast<float>(grid.z[0]),
                          static_cast<float>(grid.x[1]), static_cast<float>(grid.y[1]), static_cast<float>(grid.z[1])};
  const float cell[2] = {static_cast<float>(grid.cell), static_cast<float>(grid.cell)};
  vexkd_grid made{};
  vexkd_make_grid(range, cell, &made);  // the manifest's reader has refused what is no grid
  return made;
}

}  // namespace

Model::Model(const char* path, const vexkd_perception_options& options) : threads_(options.threads) {
  {
    Bundle bundle = read_bundle(path);
    backend_ = open_backend(bundle, options);
    manifest_ = std::move(bundle.manifest);
    name_ = std::move(bundle.name);
  }
  if (manifest_.camera) {
    cameras_.emplace(*manifest_.camera);
    camera_names_ = pointers(manifest_.camera->cameras);
    images_ = input_index("images");
    rays_ = input_index("rays");
    origins_ = input_index("origins");
  }
  if (manifest_.points) {
    points_ = input_index("points");
    count_ = input_index("count");
  }
  if (manifest_.selection) {
    boxes_ = output_index("boxes");
    scores_ = output_index("scores");
    labels_ = output_index("labels");
    const float own = manifest_.selection->score_threshold;
    selection_.emplace(*manifest_.selection, static_cast<int32_t>(manifest_.outputs[scores_].elements()),
                       std::isnan(options.score_threshold) ? own : options.score_threshold);
  } else {
    logits_ = output_index("logits");
  }
  class_names_ = pointers(manifest_.classes);
  warm_up(options.warm_up);
}

size_t Model::input_index(const char* name) const { return index_of(manifest_.inputs, name); }

size_t Model::output_index(const char* name) const { return index_of(manifest_.outputs, name); }

void Model::require_task(Task task, const char* function) const {
  if (manifest_.task == task) return;
  const bool detects = manifest_.task == Task::detection;
  fail(VEXKD_WRONG_TASK, text(name_, " is a ", detects ? "detection" : "segmentation", " bundle, ", function,
                              " was called; call vexkd_perception_", detects ? "detect" : "segment"));
}

// Inputs are reserved zeroed: no points, black images, rays that meet in one point.
void Model::warm_up(int32_t runs) {
  for (int32_t i = 0; i < runs; ++i) backend_->run();
}

void Model::update_calibration(const vexkd_calibration& calibration) {
  if (!cameras_) fail(VEXKD_BAD_FRAME, text(name_, " has no cameras to calibrate; leave the call out"));
  cameras_->update(calibration);
}

void Model::detect(const vexkd_frame& frame, vexkd_detections& detections) {
  require_task(Task::detection, "vexkd_perception_detect");
  if (detections.capacity < 0 || (detections.capacity > 0 && detections.boxes == nullptr)) {
    fail(VEXKD_INVALID_ARGUMENT, text("detections: boxes is null or capacity ", detections.capacity, " negative"));
  }
  vexkd_times times{};
  {
    const Timed total(times.total);
    detections.dropped_points = run(frame, times);
    const Timed selection(times.selection);
    selection_->select(static_cast<const float*>(backend_->output(boxes_)),
                       static_cast<const float*>(backend_->output(scores_)),
                       static_cast<const int32_t*>(backend_->output(labels_)), detections);
  }
  detections.times = times;
}

void Model::segment(const vexkd_frame& frame, vexkd_map& map) {
  require_task(Task::segmentation, "vexkd_perception_segment");
  const Tensor& logits = manifest_.outputs[logits_];
  if (map.logits == nullptr || map.capacity < logits.elements()) {
    fail(VEXKD_INVALID_ARGUMENT, text("map: memory for ", map.logits == nullptr ? 0 : map.capacity,
                                      " floats, the logits are ", logits.elements()));
  }
  vexkd_times times{};
  {
    const Timed total(times.total);
    map.dropped_points = run(frame, times);
    const Timed selection(times.selection);
    std::memcpy(map.logits, backend_->output(logits_), logits.bytes());
  }
  map.times = times;
}

int32_t Model::run(const vexkd_frame& frame, vexkd_times& times) {
  int32_t dropped = 0;
  if (manifest_.points) {
    const Timed timed(times.points);
    dropped = take_points(frame);
  }
  if (cameras_) {
    {
      const Timed timed(times.images);
      take_images(frame);
    }
    const Timed timed(times.calibration);
    cameras_->write(static_cast<float*>(backend_->input(rays_)), static_cast<float*>(backend_->input(origins_)));
  }
  const Timed timed(times.engine);
  backend_->run();
  return dropped;
}

int32_t Model::take_points(const vexkd_frame& frame) {
  const int32_t capacity = manifest_.points->capacity;
  auto* const count = static_cast<int32_t*>(backend_->input(count_));
  auto* const points = static_cast<float*>(backend_->input(points_));
  int32_t dropped = 0;
  vexkd_status status = VEXKD_OK;
  if (frame.sweep_count != 0) {
    status = vexkd_accumulate_sweeps_cpu(frame.sweeps, frame.sweep_count, capacity, points, count, &dropped, threads_);
    backend_->bind_input(points_, nullptr, VEXKD_HOST);
  } else if (frame.point_count < 0 || (frame.point_count > 0 && frame.points == nullptr)) {
    status = VEXKD_INVALID_ARGUMENT;
  } else if (frame.point_memory == VEXKD_DEVICE) {
    backend_->bind_input(points_, frame.points, VEXKD_DEVICE);
    *count = std::min(frame.point_count, capacity);
    dropped = frame.point_count - *count;
  } else {
    status = vexkd_pad_points(frame.points, frame.point_count, capacity, points, count, &dropped);
    backend_->bind_input(points_, nullptr, VEXKD_HOST);
  }
  if (status != VEXKD_OK) {
    fail(VEXKD_BAD_FRAME, text("frame of ", frame.point_count, " points and ", frame.sweep_count, " sweeps: ",
                               vexkd_status_string(status), "; a pointer is null, a count negative, a sweep's stride ",
                               "below 4 or its pose not finite"));
  }
  return dropped;
}

void Model::take_images(const vexkd_frame& frame) {
  const Tensor& images = manifest_.inputs[images_];
  if (frame.image_block != nullptr) {
    backend_->bind_input(images_, frame.image_block, frame.image_memory);
    return;
  }
  const auto views = static_cast<size_t>(cameras_->views());
  for (size_t view = 0; view < views; ++view) {
    if (frame.images == nullptr || frame.images[view] == nullptr) {
      fail(VEXKD_BAD_FRAME, text("the frame has no image of ", manifest_.camera->cameras[view], "; ", name_, " needs ",
                                 views, " images of ", manifest_.camera->raw_size[0], " x ",
                                 manifest_.camera->raw_size[1], " pixels, in frame.images or frame.image_block"));
    }
  }
  auto* const block = static_cast<uint8_t*>(backend_->input(images_));
  const size_t size = images.bytes() / views;
  for (size_t view = 0; view < views; ++view) std::memcpy(block + view * size, frame.images[view], size);
  backend_->bind_input(images_, nullptr, VEXKD_HOST);
}

void Model::describe(vexkd_perception_info& info) const {
  vexkd_perception_info told{};
  told.struct_size = sizeof(told);
  told.task = manifest_.task == Task::detection ? VEXKD_DETECTION : VEXKD_SEGMENTATION;
  told.grid = grid_of(manifest_.grid);
  told.classes = static_cast<int32_t>(class_names_.size());
  told.class_names = class_names_.data();
  told.name = name_.c_str();
  told.precision = manifest_.precision.c_str();
  told.backend = backend_->name().c_str();
  told.backend_kind = backend_->kind();
  if (manifest_.camera) {
    told.views = cameras_->views();
    told.cameras = camera_names_.data();
    told.image_height = manifest_.camera->raw_size[0];
    told.image_width = manifest_.camera->raw_size[1];
  }
  if (manifest_.points) {
    told.point_capacity = manifest_.points->capacity;
    told.sweeps = manifest_.points->sweeps;
    told.own_vehicle = manifest_.points->own_vehicle;
  }
  if (selection_) {
    told.max_boxes = static_cast<int32_t>(manifest_.outputs[scores_].elements());
    told.score_threshold = selection_->score_threshold();
  } else {
    const std::vector<int64_t>& shape = manifest_.outputs[logits_].shape;
    told.map_height = static_cast<int32_t>(shape[1]);
    told.map_width = static_cast<int32_t>(shape[2]);
  }
  info = told;
}

}  // namespace vexkd::runtime
