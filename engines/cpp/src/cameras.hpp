// Calibration of a model's cameras, and the frustum index that follows from it.
#pragma once

#include <vector>

#include "aligned.hpp"
#include "manifest.hpp"
#include "vexkd/frustum_index.h"
#include "vexkd/perception.h"

namespace vexkd::runtime {

class Cameras {
 public:
  Cameras(const CameraSection& camera, const GridSection& grid, int32_t threads);

  // Copy the calibration in; fails with BAD_FRAME and keeps the one before.
  void update(const vexkd_calibration& calibration);

  // Write the index for the newest calibration, unless the one written last still holds: points (V*D*h*w) and starts
  // (H*W + 1), the same memory every time. Fails with NOT_CALIBRATED.
  void write_index(int32_t* points, int32_t* starts);

  int32_t views() const { return static_cast<int32_t>(names_.size()); }

 private:
  void check(const vexkd_calibration& calibration) const;
  bool same_as_before(const vexkd_calibration& calibration) const;

  std::vector<std::string> names_;
  std::vector<float> depths_;
  vexkd_frustum_shape shape_;
  vexkd_grid grid_;
  int32_t threads_;
  std::vector<double> transforms_;                     // (V, 3, 3) from raw to prepared pixels
  std::vector<double> intrinsics_, poses_;             // of the newest calibration
  std::vector<float> rays_, origins_;                  // that follow from it
  std::vector<float> checked_rays_, checked_origins_;  // of one that may yet be refused
  Memory workspace_;
  size_t workspace_size_;
  bool calibrated_ = false;
  bool index_holds_ = false;
};

// The grid of the manifest; of the camera's heights where `z` is given.
vexkd_grid make_grid(const GridSection& grid, const double* z = nullptr);

}  // namespace vexkd::runtime
