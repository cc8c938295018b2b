#include "pillar_max_op.hpp"

#include "vexkd/pillar_max.h"

namespace vexkd::ort {
namespace {

enum Input : size_t { kFeatures, kCells };

}  // namespace

ElementType PillarMaxKernel::input_type(size_t index, ElementType real) {
  return index == kFeatures ? real : ElementType::kInt32;
}

ElementType PillarMaxKernel::output_type(size_t, ElementType real) { return real; }

void PillarMaxKernel::infer(const ShapeContext& context) {
  context.set_map(0, context.type(kFeatures), context.dimension(kFeatures, 1));
}

void PillarMaxKernel::run(Call& call) const {
  const Tensor features = call.input(kFeatures), cells = call.input(kCells);
  if (!features.has_shape({Tensor::kAny, Tensor::kAny}) || !cells.has_shape({features.shape[0]})) {
    refuse_inputs("features (N, C) and cells (N)", {features, cells});
  }
  const vexkd_dtype dtype = dtype_of(features.type);
  const int32_t rows = features.size(0), channels = features.size(1);
  const auto query = call.on_cuda() ? vexkd_pillar_max_cuda_workspace : vexkd_pillar_max_cpu_workspace;
  size_t size = 0;
  check(query(dtype, rows, channels, 1, map_.height, map_.width, 0, &size));
  void* const bev = call.output(0, {1, channels, map_.height, map_.width});
  const Workspace workspace = call.workspace(size);
  const int32_t* const of_rows = cells.as<int32_t>();
  if (call.on_cuda()) {
    check(vexkd_pillar_max_cuda(features.data, dtype, of_rows, rows, channels, 1, map_.height, map_.width, bev, nullptr,
                                VEXKD_PLANAR, workspace.data, workspace.size, call.stream()));
  } else {
    check(vexkd_pillar_max_cpu(features.data, dtype, of_rows, rows, channels, 1, map_.height, map_.width, bev, nullptr,
                               call.threads(), workspace.data, workspace.size));
  }
}

}  // namespace vexkd::ort
