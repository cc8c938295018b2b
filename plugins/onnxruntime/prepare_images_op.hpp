#pragma once

#include "operator.hpp"

namespace vexkd::ort {

/// images (V, H, W, 3) u8 -> prepared (V, 3, height, width), f32 or f16 as the attribute `dtype` says.
class PrepareImagesKernel {
 public:
  static constexpr char kName[] = "PrepareImages";
  static constexpr size_t kInputs = 1, kOutputs = 1;

  static ElementType input_type(size_t index, ElementType real);
  static ElementType output_type(size_t index, ElementType real);
  static void infer(const ShapeContext& context);
  explicit PrepareImagesKernel(const Attributes& attributes);
  void run(Call& call) const;

 private:
  int32_t height_, width_;
  float mean_[3], deviation_[3];
  ElementType type_;
};

}  // namespace vexkd::ort
