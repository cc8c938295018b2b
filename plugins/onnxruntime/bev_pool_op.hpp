#pragma once

#include "operator.hpp"

namespace vexkd::ort {

/// depth (V, D, h, w) and context (V, C, h, w), both f32 or both f16, points (K) i32, starts (height * width + 1) i32
/// -> bev (1, C, height, width) of the same type.
class BevPoolKernel {
 public:
  static constexpr char kName[] = "BevPool";
  static constexpr size_t kInputs = 4, kOutputs = 1;

  static ElementType input_type(size_t index, ElementType real);
  static ElementType output_type(size_t index, ElementType real);
  static void infer(const ShapeContext& context);
  explicit BevPoolKernel(const Attributes& attributes) : map_(attributes) {}
  void run(Call& call) const;

 private:
  MapSize map_;
};

}  // namespace vexkd::ort
