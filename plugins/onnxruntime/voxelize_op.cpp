#include "voxelize_op.hpp"

#include "vexkd/voxelize.h"

namespace vexkd::ort {
namespace {

enum Input : size_t { kPoints, kCount };
enum Output : size_t { kFeatures, kCells };

}  // namespace

ElementType VoxelizeKernel::input_type(size_t index, ElementType real) {
  return index == kPoints ? real : ElementType::kInt32;
}

ElementType VoxelizeKernel::output_type(size_t index, ElementType real) {
  return index == kFeatures ? real : ElementType::kInt32;
}

void VoxelizeKernel::infer(const ShapeContext& context) {
  const Dimension rows = context.dimension(kPoints, 0);
  context.set_output(kFeatures, ElementType::kFloat, {rows, {VEXKD_POINT_FEATURES}});
  context.set_output(kCells, ElementType::kInt32, {rows});
}

void VoxelizeKernel::run(Call& call) const {
  const Tensor points = call.input(kPoints), count = call.input(kCount);
  if (!points.has_shape({Tensor::kAny, VEXKD_POINT_SIZE}) || !count.has_shape({1})) {
    refuse_inputs("points (N, 5) and count (1)", {points, count});
  }
  const int32_t rows = points.size(0);
  const auto query = call.on_cuda() ? vexkd_voxelize_cuda_workspace : vexkd_voxelize_cpu_workspace;
  size_t size = 0;
  check(query(1, rows, &grid_, &size));
  void* const features = call.output(kFeatures, {rows, VEXKD_POINT_FEATURES});
  int32_t* const cells = static_cast<int32_t*>(call.output(kCells, {rows}));
  const Workspace workspace = call.workspace(size);
  const float* const from = points.as<float>();
  const int32_t* const counts = count.as<int32_t>();
  if (call.on_cuda()) {
    check(vexkd_voxelize_cuda(from, counts, 1, rows, &grid_, VEXKD_F32, features, cells, workspace.data, workspace.size,
                              call.stream()));
  } else {
    check(vexkd_voxelize_cpu(from, counts, 1, rows, &grid_, VEXKD_F32, features, cells, call.threads(), workspace.data,
                             workspace.size));
  }
}

}  // namespace vexkd::ort
