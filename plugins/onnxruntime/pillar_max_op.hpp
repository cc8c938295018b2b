#pragma once

#include "operator.hpp"

namespace vexkd::ort {

/// features (N, C) f32 or f16, cells (N) i32 -> bev (1, C, height, width) of the features' type.
class PillarMaxKernel {
 public:
  static constexpr char kName[] = "PillarMax";
  static constexpr size_t kInputs = 2, kOutputs = 1;

  static ElementType input_type(size_t index, ElementType real);
  static ElementType output_type(size_t index, ElementType real);
  static void infer(const ShapeContext& context);
  explicit PillarMaxKernel(const Attributes& attributes) : map_(attributes) {}
  void run(Call& call) const;

 private:
  MapSize map_;
};

}  // namespace vexkd::ort
