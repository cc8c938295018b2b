#pragma once

#include "operator.hpp"

namespace vexkd::ort {

/// points (N, 5) f32, count (1) i32 -> features (N, 11) f32, cells (N) i32.
class VoxelizeKernel {
 public:
  static constexpr char kName[] = "Voxelize";
  static constexpr size_t kInputs = 2, kOutputs = 2;

  static ElementType input_type(size_t index, ElementType real);
  static ElementType output_type(size_t index, ElementType real);
  static void infer(const ShapeContext& context);
  explicit VoxelizeKernel(const Attributes& attributes) : grid_(attributes.grid()) {}
  void run(Call& call) const;

 private:
  vexkd_grid grid_;
};

}  // namespace vexkd::ort
