#include "bev_pool_op.hpp"

#include "vexkd/bev_pool.h"

namespace vexkd::ort {
namespace {

enum Input : size_t { kDepth, kContext, kPoints, kStarts };

}  // namespace

ElementType BevPoolKernel::input_type(size_t index, ElementType real) {
  return index == kDepth || index == kContext ? real : ElementType::kInt32;
}

ElementType BevPoolKernel::output_type(size_t, ElementType real) { return real; }

void BevPoolKernel::infer(const ShapeContext& context) {
  context.set_map(0, context.type(kContext), context.dimension(kContext, 1));
}

void BevPoolKernel::run(Call& call) const {
  constexpr int64_t kAny = Tensor::kAny;
  const Tensor depth = call.input(kDepth), context = call.input(kContext);
  const Tensor points = call.input(kPoints), starts = call.input(kStarts);
  const int64_t cells = int64_t{map_.height} * map_.width;
  if (!depth.has_shape({kAny, kAny, kAny, kAny}) ||
      !context.has_shape({depth.shape[0], kAny, depth.shape[2], depth.shape[3]}) || !points.has_shape({kAny}) ||
      !starts.has_shape({cells + 1})) {
    refuse_inputs("depth (V, D, h, w), context (V, C, h, w), points (K) and starts (height * width + 1)",
                  {depth, context, points, starts});
  }
  const vexkd_dtype dtype = dtype_of(depth.type);
  const vexkd_bev_pool_shape shape{
      depth.size(0), depth.size(1), depth.size(2), depth.size(3), context.size(1), points.size(0), 1,
      map_.height,   map_.width};
  const auto query = call.on_cuda() ? vexkd_bev_pool_cuda_workspace : vexkd_bev_pool_cpu_workspace;
  size_t size = 0;
  check(query(dtype, &shape, &size));
  void* const bev = call.output(0, {1, shape.channels, shape.height, shape.width});
  const Workspace workspace = call.workspace(size);
  const int32_t* const listed = points.as<int32_t>();
  const int32_t* const begins = starts.as<int32_t>();
  if (call.on_cuda()) {
    check(vexkd_bev_pool_cuda(depth.data, context.data, dtype, listed, begins, &shape, bev, VEXKD_PLANAR, VEXKD_PLANAR,
                              workspace.data, workspace.size, call.stream()));
  } else {
    check(vexkd_bev_pool_cpu(depth.data, context.data, dtype, listed, begins, &shape, bev, call.threads(),
                             workspace.data, workspace.size));
  }
}

}  // namespace vexkd::ort
