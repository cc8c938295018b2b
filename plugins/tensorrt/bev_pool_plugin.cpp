#include "bev_pool_plugin.hpp"

#include "vexkd/bev_pool.h"

namespace vexkd {
namespace {

enum Tensor : int32_t { kDepth, kContext, kPoints, kStarts, kBev, kTensors };
constexpr int32_t kInputs = 4;
constexpr int32_t kOutputs = 1;
constexpr char kSignature[] =
    "BevPool takes depth (V, D, h, w), context (V, C, h, w), points (K) and starts (height * width + 1)";

// The call's sizes, or views = 0 if a dimension is out of bounds.
vexkd_bev_pool_shape shape_of(BevSize const& size, trt::Dims const& depth, trt::Dims const& context,
                              trt::Dims const& points) noexcept {
  vexkd_bev_pool_shape shape{};
  bool valid = depth.nbDims == 4 && context.nbDims == 4 && points.nbDims == 1 && is_size(points.d[0]);
  for (int32_t i = 0; valid && i < 4; ++i) valid = is_size(depth.d[i]) && is_size(context.d[i]);
  if (!valid || depth.d[0] != context.d[0] || depth.d[2] != context.d[2] || depth.d[3] != context.d[3]) return shape;
  shape.views = static_cast<int32_t>(depth.d[0]);
  shape.depths = static_cast<int32_t>(depth.d[1]);
  shape.feature_height = static_cast<int32_t>(depth.d[2]);
  shape.feature_width = static_cast<int32_t>(depth.d[3]);
  shape.channels = static_cast<int32_t>(context.d[1]);
  shape.points = static_cast<int32_t>(points.d[0]);
  shape.batch = 1;
  shape.height = size.height;
  shape.width = size.width;
  return shape;
}

size_t workspace_size(trt::DataType type, vexkd_bev_pool_shape const& shape) noexcept {
  size_t bytes = 0;
  succeeded("BevPool's workspace query", vexkd_bev_pool_cuda_workspace(dtype_of(type), &shape, &bytes));
  return bytes;
}

}  // namespace

int32_t BevPoolPlugin::getOutputDataTypes(trt::DataType* outputs, int32_t output_count, trt::DataType const* inputs,
                                          int32_t input_count) const noexcept {
  if (outputs == nullptr || inputs == nullptr || input_count != kInputs || output_count != kOutputs) return -1;
  outputs[0] = inputs[kContext];
  return 0;
}

int32_t BevPoolPlugin::getOutputShapes(trt::DimsExprs const* inputs, int32_t input_count, trt::DimsExprs const*,
                                       int32_t, trt::DimsExprs* outputs, int32_t output_count,
                                       trt::IExprBuilder& builder) noexcept {
  if (inputs == nullptr || outputs == nullptr || input_count != kInputs || output_count != kOutputs) return -1;
  if (inputs[kDepth].nbDims != 4 || inputs[kContext].nbDims != 4 || inputs[kPoints].nbDims != 1 ||
      inputs[kStarts].nbDims != 1) {
    log_error("%s, got tensors of rank %d, %d, %d and %d", kSignature, inputs[kDepth].nbDims, inputs[kContext].nbDims,
              inputs[kPoints].nbDims, inputs[kStarts].nbDims);
    return -1;
  }
  outputs[0].nbDims = 4;
  outputs[0].d[0] = builder.constant(1);
  outputs[0].d[1] = inputs[kContext].d[1];
  outputs[0].d[2] = builder.constant(attributes_.height);
  outputs[0].d[3] = builder.constant(attributes_.width);
  return 0;
}

bool BevPoolPlugin::supportsFormatCombination(int32_t position, trt::DynamicPluginTensorDesc const* tensors,
                                              int32_t input_count, int32_t output_count) noexcept {
  if (tensors == nullptr || input_count != kInputs || output_count != kOutputs) return false;
  if (position < 0 || position >= kTensors) return false;
  if (position == kPoints || position == kStarts) return is_linear(tensors[position].desc, trt::DataType::kINT32);
  trt::DataType const type = tensors[kDepth].desc.type;
  return is_float(type) && is_linear(tensors[position].desc, type);
}

size_t BevPoolPlugin::getWorkspaceSize(trt::DynamicPluginTensorDesc const* inputs, int32_t input_count,
                                       trt::DynamicPluginTensorDesc const*, int32_t) const noexcept {
  if (inputs == nullptr || input_count != kInputs) return 0;
  vexkd_bev_pool_shape const shape =
      shape_of(attributes_, inputs[kDepth].max, inputs[kContext].max, inputs[kPoints].max);
  return workspace_size(inputs[kDepth].desc.type, shape);
}

int32_t BevPoolPlugin::onShapeChange(trt::PluginTensorDesc const* inputs, int32_t input_count,
                                     trt::PluginTensorDesc const* outputs, int32_t output_count) noexcept {
  if (inputs == nullptr || outputs == nullptr || input_count != kInputs || output_count != kOutputs) return -1;
  vexkd_bev_pool_shape const shape =
      shape_of(attributes_, inputs[kDepth].dims, inputs[kContext].dims, inputs[kPoints].dims);
  trt::Dims const& starts = inputs[kStarts].dims;
  int64_t const cells = int64_t{attributes_.height} * attributes_.width;
  if (shape.views > 0 && starts.nbDims == 1 && starts.d[0] == cells + 1) return 0;
  log_error("%s, with V, h and w the same in depth and context", kSignature);
  return -1;
}

int32_t BevPoolPlugin::enqueue(trt::PluginTensorDesc const* input_descs, trt::PluginTensorDesc const*,
                               void const* const* inputs, void* const* outputs, void* workspace,
                               CudaStream stream) noexcept {
  if (input_descs == nullptr || inputs == nullptr || outputs == nullptr) return -1;
  trt::DataType const type = input_descs[kDepth].type;
  vexkd_bev_pool_shape const shape =
      shape_of(attributes_, input_descs[kDepth].dims, input_descs[kContext].dims, input_descs[kPoints].dims);
  vexkd_status const status = vexkd_bev_pool_cuda(
      inputs[kDepth], inputs[kContext], dtype_of(type), static_cast<int32_t const*>(inputs[kPoints]),
      static_cast<int32_t const*>(inputs[kStarts]), &shape, outputs[0], workspace, workspace_size(type, shape), stream);
  return succeeded("BevPool", status) ? 0 : -1;
}

}  // namespace vexkd
