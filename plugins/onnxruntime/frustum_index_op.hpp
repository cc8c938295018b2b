#pragma once

#include <mutex>
#include <vector>

#include "operator.hpp"
#include "vexkd/frustum_index.h"

namespace vexkd::ort {

/// rays (V, 3, 3) f32, origins (V, 3) f32 -> points (V * depths * feature_height * feature_width) i32,
/// starts (height * width + 1) i32.
class FrustumIndexKernel {
 public:
  static constexpr char kName[] = "FrustumIndex";
  static constexpr size_t kInputs = 2, kOutputs = 2;

  static ElementType input_type(size_t index, ElementType real);
  static ElementType output_type(size_t index, ElementType real);
  static void infer(const ShapeContext& context);
  explicit FrustumIndexKernel(const Attributes& attributes);
  void run(Call& call) const;

 private:
  // What the CPU remembers of its last call. A calibration that is seen for the second time in a row is likely to stay:
  // from then on its index is kept, and copied. One that changes with every frame costs a comparison. A run that finds
  // another one at it makes the index for itself.
  struct Kept {
    std::mutex mutex;
    std::vector<float> rays, origins;
    std::vector<int32_t> points, starts;  // empty after the first sight
  };

  vexkd_grid grid_;
  std::vector<float> depths_;
  int32_t height_, width_, stride_;
  mutable Kept kept_;
};

}  // namespace vexkd::ort
