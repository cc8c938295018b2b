#include "cameras.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "failure.hpp"
#include "text.hpp"
#include "vexkd/camera_rays.h"

namespace vexkd::runtime {
namespace {

constexpr size_t kMatrix = 9, kPose = 16, kRay = 9, kOrigin = 3;

std::string joined(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

size_t first_not_finite(const double* values, size_t count) {
  size_t i = 0;
  while (i < count && std::isfinite(values[i])) ++i;
  return i;
}

}  // namespace

Cameras::Cameras(const CameraSection& camera) : names_(camera.cameras) {
  const auto count = names_.size();
  double transform[kMatrix];
  const vexkd_status status = vexkd_image_transform(camera.raw_size, camera.image_size, transform);
  if (status != VEXKD_OK) fail(VEXKD_DAMAGED, "the manifest's image sizes do not fit each other");
  for (size_t view = 0; view < count; ++view) transforms_.insert(transforms_.end(), transform, transform + kMatrix);
  intrinsics_.resize(count * kMatrix);
  poses_.resize(count * kPose);
  for (auto* rays : {&rays_, &checked_rays_}) rays->resize(count * kRay);
  for (auto* origins : {&origins_, &checked_origins_}) origins->resize(count * kOrigin);
}

void Cameras::update(const vexkd_calibration& calibration) {
  check(calibration);
  if (same_as_before(calibration)) return;
  const vexkd_status status = vexkd_camera_rays(calibration.intrinsics, calibration.camera_to_ego, transforms_.data(),
                                                views(), checked_rays_.data(), checked_origins_.data());
  if (status != VEXKD_OK) {
    fail(VEXKD_BAD_FRAME, text("calibration of ", joined(names_), ": an intrinsic matrix is singular or a pose not ",
                               "rigid; check the calibration of this frame"));
  }
  std::memcpy(intrinsics_.data(), calibration.intrinsics, intrinsics_.size() * sizeof(double));
  std::memcpy(poses_.data(), calibration.camera_to_ego, poses_.size() * sizeof(double));
  rays_.swap(checked_rays_);
  origins_.swap(checked_origins_);
  calibrated_ = true;
}

void Cameras::write(float* rays, float* origins) const {
  if (!calibrated_) {
    fail(VEXKD_NOT_CALIBRATED, text("the cameras ", joined(names_), " have no calibration yet; call ",
                                    "vexkd_perception_update_calibration before the first frame"));
  }
  std::copy(rays_.begin(), rays_.end(), rays);
  std::copy(origins_.begin(), origins_.end(), origins);
}

void Cameras::check(const vexkd_calibration& calibration) const {
  if (calibration.views != views()) {
    fail(VEXKD_BAD_FRAME,
         text("calibration of ", calibration.views, " cameras; the bundle has ", views(), ": ", joined(names_)));
  }
  if (calibration.intrinsics == nullptr || calibration.camera_to_ego == nullptr) {
    fail(VEXKD_NULL_POINTER, "calibration: intrinsics or camera_to_ego is null");
  }
  const size_t matrix = first_not_finite(calibration.intrinsics, intrinsics_.size()) / kMatrix;
  const size_t pose = first_not_finite(calibration.camera_to_ego, poses_.size()) / kPose;
  if (matrix < names_.size()) {
    fail(VEXKD_BAD_FRAME, text("intrinsics of ", names_[matrix],
                               " hold values that are not finite; check the calibration of this frame"));
  }
  if (pose < names_.size()) {
    fail(VEXKD_BAD_FRAME, text("camera_to_ego of ", names_[pose],
                               " holds values that are not finite; check the calibration of this frame"));
  }
}

bool Cameras::same_as_before(const vexkd_calibration& calibration) const {
  return calibrated_ &&
         std::memcmp(intrinsics_.data(), calibration.intrinsics, intrinsics_.size() * sizeof(double)) == 0 &&
         std::memcmp(poses_.data(), calibration.camera_to_ego, poses_.size() * sizeof(double)) == 0;
}

}  // namespace vexkd::runtime
