// What a model is given: Frame and Calibration, filled by name and checked against the model's Info. A mistake is kept,
// the first one, and becomes the Status of the call that would have used it.
#pragma once

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vexkd/info.hpp"
#include "vexkd/span.hpp"
#include "vexkd/status.hpp"

namespace vexkd {

/** Row-major. Eigen's matrices are column-major: write one with
 * Eigen::Map<Eigen::Matrix<double, 4, 4, Eigen::RowMajor>>(matrix.data()) = pose.matrix(). */
using Matrix3 = std::array<double, 9>;
using Matrix4 = std::array<double, 16>;

inline constexpr Matrix4 kIdentity{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};

/** One turn of a LiDAR, as its driver gives it. */
struct Sweep {
  Span<const float> values;           ///< (points, stride): x, y, z in the sensor's metres, intensity, whatever follows
  int32_t stride = VEXKD_POINT_SIZE;  ///< floats per point, at least 4
  Matrix4 sensor_to_ego = kIdentity;  ///< the sensor at its own time to ego at the keyframe's: ego motion is in it
  float age = 0;                      ///< seconds before the keyframe, 0 or more
  float intensity_scale = 1;          ///< raw units of the intensity 1: 255 for nuScenes
  float own_vehicle = 0;              ///< Info::own_vehicle where own points are still in it
};

namespace detail {

/** Where `name` stands in `names`; their number if it does not. */
inline size_t position(const std::vector<std::string>& names, std::string_view name) {
  return static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

/** Whether so many floats are points, no more than the C ABI can count. */
inline bool whole_points(size_t floats, int32_t stride) {
  const size_t size = static_cast<size_t>(stride);
  return floats % size == 0 && floats / size <= static_cast<size_t>(std::numeric_limits<int32_t>::max());
}

inline std::string unknown_camera(std::string_view name, const std::vector<std::string>& names) {
  std::string listed;
  for (const std::string& known : names) listed += (listed.empty() ? "" : ", ") + known;
  return "there is no camera " + std::string(name) + " in this model; it has: " + (listed.empty() ? "none" : listed);
}

}  // namespace detail

/** Sensor data of one moment. Nothing is copied but poses: the memory must stay until the call that uses the frame
 * returns. Reuse one Frame, with clear() between moments: it keeps its memory. */
class Frame {
 public:
  explicit Frame(const Info& info)
      : cameras_(info.cameras), image_bytes_(info.image_bytes()), images_(info.cameras.size(), nullptr) {}
  Frame(Frame&&) = default;  // not copied: the sweeps point to their poses
  Frame& operator=(Frame&&) = default;

  void clear() {
    fault_.clear();
    std::fill(images_.begin(), images_.end(), nullptr);
    block_ = {};
    points_ = {};
    sweeps_.clear();
    poses_.clear();
    image_memory_ = point_memory_ = VEXKD_HOST;
  }

  /** (N, 5): x, y, z in metres in ego, intensity 0..1, age in seconds; own vehicle removed. */
  void set_points(Span<const float> values, vexkd_memory memory = VEXKD_HOST) {
    if (!detail::whole_points(values.size(), VEXKD_POINT_SIZE)) {
      return refuse("points have " + std::to_string(values.size()) +
                    " floats, expected five for each: x, y, z, intensity, age");
    }
    points_ = values;
    point_memory_ = memory;
  }

  /** In place of points: the keyframe's own sweep first, then ever older ones. */
  void add_sweep(const Sweep& sweep) {
    if (sweep.stride < 4 || !detail::whole_points(sweep.values.size(), sweep.stride)) {
      return refuse("sweep " + std::to_string(sweeps_.size()) + " has " + std::to_string(sweep.values.size()) +
                    " floats and stride " + std::to_string(sweep.stride) +
                    "; expected a stride of 4 or more and whole points");
    }
    vexkd_sweep raw{};
    raw.points = sweep.values.data();
    raw.count = static_cast<int32_t>(sweep.values.size() / static_cast<size_t>(sweep.stride));
    raw.stride = sweep.stride;
    raw.intensity_scale = sweep.intensity_scale;
    raw.age = sweep.age;
    raw.own_vehicle = sweep.own_vehicle;
    sweeps_.push_back(raw);
    poses_.push_back(sweep.sensor_to_ego);
    for (size_t i = 0; i < sweeps_.size(); ++i) sweeps_[i].sensor_to_ego = poses_[i].data();  // they may have moved
  }

  /** (image_height, image_width, 3) RGB of one camera, rows dense, host memory. */
  void set_image(std::string_view camera, Span<const uint8_t> pixels) {
    const size_t view = detail::position(cameras_, camera);
    if (view == cameras_.size()) {
      return refuse(detail::unknown_camera(camera, cameras_));
    }
    if (pixels.size() != image_bytes_) {
      return refuse("the image of " + cameras_[view] + " has " + std::to_string(pixels.size()) + " bytes, expected " +
                    std::to_string(image_bytes_) + " (height x width x RGB)");
    }
    images_[view] = pixels.data();
  }

  /** In place of single images: (views, image_height, image_width, 3) in the order of Info::cameras. */
  void set_image_block(Span<const uint8_t> pixels, vexkd_memory memory = VEXKD_HOST) {
    if (pixels.size() != image_bytes_ * cameras_.size()) {
      return refuse("the block of images has " + std::to_string(pixels.size()) + " bytes, expected " +
                    std::to_string(cameras_.size()) + " x " + std::to_string(image_bytes_));
    }
    block_ = pixels;
    image_memory_ = memory;
  }

  /** The first mistake made in filling it, or a camera whose image is missing. */
  Status check() const {
    if (!fault_.empty()) return Status(VEXKD_BAD_FRAME, fault_);
    if (!sweeps_.empty() && !points_.empty()) {
      return Status(VEXKD_BAD_FRAME, "the frame has points and sweeps; give either");
    }
    if (block_.data() != nullptr) return Status();
    for (size_t view = 0; view < images_.size(); ++view) {
      if (images_[view] == nullptr) {
        return Status(VEXKD_BAD_FRAME, "the image of " + cameras_[view] + " is missing from the frame");
      }
    }
    return Status();
  }

  /** For the C ABI; valid while this frame is not changed. */
  vexkd_frame raw() const {
    vexkd_frame frame{};
    frame.struct_size = sizeof frame;
    frame.image_block = block_.data();
    frame.images = block_.data() == nullptr && !images_.empty() ? images_.data() : nullptr;
    frame.points = points_.data();
    frame.point_count = static_cast<int32_t>(points_.size() / VEXKD_POINT_SIZE);
    frame.sweep_count = static_cast<int32_t>(sweeps_.size());
    frame.sweeps = sweeps_.data();
    frame.image_memory = image_memory_;
    frame.point_memory = point_memory_;
    return frame;
  }

 private:
  void refuse(std::string fault) {
    if (fault_.empty()) fault_ = std::move(fault);
  }

  std::string fault_;
  std::vector<std::string> cameras_;
  size_t image_bytes_;
  std::vector<const uint8_t*> images_;
  Span<const uint8_t> block_;
  Span<const float> points_;
  std::vector<vexkd_sweep> sweeps_;
  std::vector<Matrix4> poses_;
  vexkd_memory image_memory_ = VEXKD_HOST, point_memory_ = VEXKD_HOST;
};

/** Cameras of the frames that follow. */
class Calibration {
 public:
  explicit Calibration(const Info& info)
      : cameras_(info.cameras), set_(info.cameras.size()), intrinsics_(set_.size()), poses_(set_.size()) {}

  /** `intrinsics` for the pixels of the raw image; `camera_to_ego` from the camera at its own time to ego at the
   * LiDAR's. */
  void set_camera(std::string_view camera, const Matrix3& intrinsics, const Matrix4& camera_to_ego) {
    const size_t view = detail::position(cameras_, camera);
    if (view == cameras_.size()) {
      if (fault_.empty()) fault_ = detail::unknown_camera(camera, cameras_);
      return;
    }
    set_[view] = true;
    intrinsics_[view] = intrinsics;
    poses_[view] = camera_to_ego;
  }

  /** The first mistake made in filling it, or a camera that is missing. */
  Status check() const {
    if (!fault_.empty()) return Status(VEXKD_BAD_FRAME, fault_);
    for (size_t view = 0; view < set_.size(); ++view) {
      if (!set_[view]) return Status(VEXKD_BAD_FRAME, cameras_[view] + " is missing from the calibration");
    }
    return Status();
  }

  /** For the C ABI; valid while this calibration is not changed. */
  vexkd_calibration raw() const {
    static_assert(sizeof(Matrix3) == 9 * sizeof(double) && sizeof(Matrix4) == 16 * sizeof(double), "dense");
    vexkd_calibration calibration{};
    calibration.struct_size = sizeof calibration;
    calibration.views = static_cast<int32_t>(cameras_.size());
    calibration.intrinsics = cameras_.empty() ? nullptr : intrinsics_.front().data();
    calibration.camera_to_ego = cameras_.empty() ? nullptr : poses_.front().data();
    return calibration;
  }

 private:
  std::string fault_;
  std::vector<std::string> cameras_;
  std::vector<bool> set_;
  std::vector<Matrix3> intrinsics_;
  std::vector<Matrix4> poses_;
};

}  // namespace vexkd
