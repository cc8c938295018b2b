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

BevPoolPlugin::Tensors BevPoolPlugin::tensors() const noexcept {
  return {TensorRule{"depth", Element::kReal, {"V", "D", "h", "w"}},
          TensorRule{"context", Element::kReal, {"V", "C", "h", "w"}, true}, TensorRule{"points", Element::kInt, {"K"}},
          TensorRule{"starts", Element::kInt, {attributes_.cells() + 1}},
          TensorRule{"bev", Element::kReal, attributes_.map("C"), true}};
}

vexkd_status BevPoolPlugin::workspace(Input const* inputs, size_t* size) const noexcept {
  vexkd_bev_pool_shape const shape = shape_of(attributes_, inputs);
  return vexkd_bev_pool_cuda_workspace(dtype_of(inputs[kDepth].type), &shape, size);
}

vexkd_status BevPoolPlugin::run(Input const* inputs, trt::PluginTensorDesc const* outputs, void const* const* from,
                                void* const* to, void* workspace, size_t size, CudaStream stream) const noexcept {
  vexkd_bev_pool_shape const shape = shape_of(attributes_, inputs);
  return vexkd_bev_pool_cuda(from[kDepth], from[kContext], dtype_of(inputs[kDepth].type),
                             static_cast<int32_t const*>(from[kPoints]), static_cast<int32_t const*>(from[kStarts]),
                             &shape, to[0], inputs[kContext].layout, layout_of(outputs[0]), workspace, size, stream);
}

}  // namespace vexkd
