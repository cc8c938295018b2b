#pragma once

#include <memory>
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
  // from then on its index is kept, and copied. One that changes with every frame costs nothing.
  struct Kept {
    std::vector<float> rays, origins;
    std::vector<int32_t> points, starts;  // empty after the first sight
  };
  std::shared_ptr<const Kept> kept() const;
  void keep(std::shared_ptr<const Kept> made) const;

  vexkd_grid grid_;
  std::vector<float> depths_;
  int32_t height_, width_, stride_;
  mutable std::mutex mutex_;  // of the pointer alone: what it points to never changes
  mutable std::shared_ptr<const Kept> kept_;
};

}  // namespace vexkd::ort
