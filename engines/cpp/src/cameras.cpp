#include "cameras.hpp"

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

vexkd_grid make_grid(const GridSection& grid, const double* z) {
  const double* const heights = z == nullptr ? grid.z : z;
  const float range[6] = {static_cast<float>(grid.x[0]), static_cast<float>(grid.y[0]), static_cast<float>(heights[0]),
                          static_cast<float>(grid.x[1]), static_cast<float>(grid.y[1]), static_cast<float>(heights[1])};
  const float cell[2] = {static_cast<float>(grid.cell), static_cast<float>(grid.cell)};
  vexkd_grid made;
  const vexkd_status status = vexkd_make_grid(range, cell, &made);
  if (status != VEXKD_OK || made.height != grid.height || made.width != grid.width) {
    fail(VEXKD_DAMAGED, text("the manifest's grid of ", grid.height, " x ", grid.width, " cells is none"));
  }
  return made;
}

Cameras::Cameras(const CameraSection& camera, const GridSection& grid, int32_t threads)
    : names_(camera.cameras), depths_(camera.depths), grid_(make_grid(grid, camera.z)), threads_(threads) {
  const auto count = names_.size();
  shape_ = {
      1, views(), static_cast<int32_t>(depths_.size()), camera.feature_size[0], camera.feature_size[1], camera.stride};
  double transform[kMatrix];
  const vexkd_status status = vexkd_image_transform(camera.raw_size, camera.image_size, transform);
  if (status != VEXKD_OK) fail(VEXKD_DAMAGED, "the manifest's image sizes do not fit each other");
  for (size_t view = 0; view < count; ++view) transforms_.insert(transforms_.end(), transform, transform + kMatrix);
  intrinsics_.resize(count * kMatrix);
  poses_.resize(count * kPose);
  for (auto* rays : {&rays_, &checked_rays_}) rays->resize(count * kRay);
  for (auto* origins : {&origins_, &checked_origins_}) origins->resize(count * kOrigin);
  if (vexkd_frustum_index_cpu_workspace(&shape_, &grid_, &workspace_size_) != VEXKD_OK) {
    fail(VEXKD_DAMAGED, "the manifest's cameras and grid do not fit each other");
  }
  workspace_ = reserve(workspace_size_);
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
  index_holds_ = false;
}

void Cameras::write_index(int32_t* points, int32_t* starts) {
  if (!calibrated_) {
    fail(VEXKD_NOT_CALIBRATED, text("the cameras ", joined(names_), " have no calibration yet; call ",
                                    "vexkd_perception_update_calibration before the first frame"));
  }
  if (index_holds_) return;
  const vexkd_status status = vexkd_frustum_index_cpu(rays_.data(), origins_.data(), depths_.data(), &shape_, &grid_,
                                                      points, starts, threads_, workspace_.get(), workspace_size_);
  if (status != VEXKD_OK) fail(status, text("frustum index: ", vexkd_status_string(status)));
  index_holds_ = true;
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
