// Calibration of a model's cameras, and the rays that follow from it.
#pragma once

#include <vector>

#include "manifest.hpp"
#include "vexkd/perception.h"

namespace vexkd::runtime {

class Cameras {
 public:
  explicit Cameras(const CameraSection& camera);

  // Copy the calibration in; fails with BAD_FRAME and keeps the one before.
  void update(const vexkd_calibration& calibration);

  // Write rays (V, 3, 3) and origins (V, 3) of the newest calibration. Fails with NOT_CALIBRATED.
  void write(float* rays, float* origins) const;

  int32_t views() const { return static_cast<int32_t>(names_.size()); }

 private:
  void check(const vexkd_calibration& calibration) const;
  bool same_as_before(const vexkd_calibration& calibration) const;

  std::vector<std::string> names_;
  std::vector<double> transforms_;                     // (V, 3, 3) from raw to prepared pixels
  std::vector<double> intrinsics_, poses_;             // of the newest calibration
  std::vector<float> rays_, origins_;                  // that follow from it
  std::vector<float> checked_rays_, checked_origins_;  // of one that may yet be refused
  bool calibrated_ = false;
};

}  // namespace vexkd::runtime
