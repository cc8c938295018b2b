#include "bev_pool_plugin.hpp"

#include <algorithm>

#include "vexkd/bev_pool.h"

namespace vexkd {
namespace {

enum Tensor : int32_t { kDepth, kContext, kPoints, kStarts, kBev };

// What depth and context have in common is taken from the larger: they differ only among largest shapes.
vexkd_bev_pool_shape shape_of(BevSize const& size, Input const* inputs) noexcept {
  trt::Dims const& depth = inputs[kDepth].dims;
  trt::Dims const& context = inputs[kContext].dims;
  auto const common = [&](int32_t axis) { return to_size(std::max(depth.d[axis], context.d[axis])); };
  vexkd_bev_pool_shape shape{};
  shape.views = common(0);
  shape.depths = to_size(depth.d[1]);
  shape.feature_height = common(2);
  shape.feature_width = common(3);
  shape.channels = to_size(context.d[1]);
  shape.points = to_size(inputs[kPoints].dims.d[0]);
  shape.batch = 1;
  shape.height = size.height;
  shape.width = size.width;
  return shape;
}

}  // namespace

void BevPoolPlugin::output_types(trt::DataType const* inputs, trt::DataType* outputs) noexcept {
  outputs[0] = inputs[kContext];
}

bool BevPoolPlugin::output_shapes(trt::DimsExprs const* inputs, trt::DimsExprs* outputs,
                                  trt::IExprBuilder& builder) const noexcept {
  if (inputs[kDepth].nbDims != 4 || inputs[kContext].nbDims != 4 || inputs[kPoints].nbDims != 1 ||
      inputs[kStarts].nbDims != 1) {
    return false;
  }
  outputs[0] = attributes_.map_of(inputs[kContext].d[1], builder);
  return true;
}

bool BevPoolPlugin::supports(int32_t position, trt::DynamicPluginTensorDesc const* tensors) noexcept {
  if (position == kPoints || position == kStarts) return is_linear(tensors[position].desc, trt::DataType::kINT32);
  trt::DataType const type = tensors[kDepth].desc.type;
  return is_float(type) && is_linear(tensors[position].desc, type);
}

bool BevPoolPlugin::fits(Input const* inputs) const noexcept {
  trt::Dims const& depth = inputs[kDepth].dims;
  trt::Dims const& context = inputs[kContext].dims;
  trt::Dims const& points = inputs[kPoints].dims;
  trt::Dims const& starts = inputs[kStarts].dims;
  if (depth.nbDims != 4 || context.nbDims != 4 || points.nbDims != 1 || starts.nbDims != 1) return false;
  for (int32_t axis = 0; axis < 4; ++axis) {
    if (!is_size(depth.d[axis]) || !is_size(context.d[axis])) return false;
    if (axis != 1 && depth.d[axis] != context.d[axis]) return false;
  }
  int64_t const cells = int64_t{attributes_.height} * attributes_.width;
  return is_size(points.d[0]) && starts.d[0] == cells + 1;
}

vexkd_status BevPoolPlugin::workspace(Input const* inputs, size_t* size) const noexcept {
  vexkd_bev_pool_shape const shape = shape_of(attributes_, inputs);
  return vexkd_bev_pool_cuda_workspace(dtype_of(inputs[kDepth].type), &shape, size);
}

vexkd_status BevPoolPlugin::run(Input const* inputs, trt::PluginTensorDesc const*, void const* const* from,
                                void* const* to, void* workspace, size_t size, CudaStream stream) const noexcept {
  vexkd_bev_pool_shape const shape = shape_of(attributes_, inputs);
  return vexkd_bev_pool_cuda(from[kDepth], from[kContext], dtype_of(inputs[kDepth].type),
                             static_cast<int32_t const*>(from[kPoints]), static_cast<int32_t const*>(from[kStarts]),
                             &shape, to[0], workspace, size, stream);
}

}  // namespace vexkd
