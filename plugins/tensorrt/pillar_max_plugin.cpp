#include "pillar_max_plugin.hpp"

#include "vexkd/pillar_max.h"

namespace vexkd {
namespace {

enum Tensor : int32_t { kFeatures, kCells, kBev, kTensors };
constexpr int32_t kInputs = 2;
constexpr int32_t kOutputs = 1;

size_t workspace_size(BevSize const& size, trt::DataType type, trt::Dims const& features) noexcept {
  size_t bytes = 0;
  succeeded(
      "PillarMax's workspace query",
      vexkd_pillar_max_cuda_workspace(dtype_of(type), static_cast<int32_t>(features.d[0]),
                                      static_cast<int32_t>(features.d[1]), 1, size.height, size.width, 0, &bytes));
  return bytes;
}

bool is_features(trt::Dims const& dims) noexcept {
  return dims.nbDims == 2 && is_size(dims.d[0]) && is_size(dims.d[1]);
}

}  // namespace

int32_t PillarMaxPlugin::getOutputDataTypes(trt::DataType* outputs, int32_t output_count, trt::DataType const* inputs,
                                            int32_t input_count) const noexcept {
  if (outputs == nullptr || inputs == nullptr || input_count != kInputs || output_count != kOutputs) return -1;
  outputs[0] = inputs[kFeatures];
  return 0;
}

int32_t PillarMaxPlugin::getOutputShapes(trt::DimsExprs const* inputs, int32_t input_count, trt::DimsExprs const*,
                                         int32_t, trt::DimsExprs* outputs, int32_t output_count,
                                         trt::IExprBuilder& builder) noexcept {
  if (inputs == nullptr || outputs == nullptr || input_count != kInputs || output_count != kOutputs) return -1;
  if (inputs[kFeatures].nbDims != 2 || inputs[kCells].nbDims != 1) {
    log_error("PillarMax takes features (N, C) and cells (N), got tensors of rank %d and %d", inputs[kFeatures].nbDims,
              inputs[kCells].nbDims);
    return -1;
  }
  outputs[0].nbDims = 4;
  outputs[0].d[0] = builder.constant(1);
  outputs[0].d[1] = inputs[kFeatures].d[1];
  outputs[0].d[2] = builder.constant(attributes_.height);
  outputs[0].d[3] = builder.constant(attributes_.width);
  return 0;
}

bool PillarMaxPlugin::supportsFormatCombination(int32_t position, trt::DynamicPluginTensorDesc const* tensors,
                                                int32_t input_count, int32_t output_count) noexcept {
  if (tensors == nullptr || input_count != kInputs || output_count != kOutputs) return false;
  if (position < 0 || position >= kTensors) return false;
  if (position == kCells) return is_linear(tensors[kCells].desc, trt::DataType::kINT32);
  trt::DataType const type = tensors[kFeatures].desc.type;
  return is_float(type) && is_linear(tensors[position].desc, type);
}

size_t PillarMaxPlugin::getWorkspaceSize(trt::DynamicPluginTensorDesc const* inputs, int32_t input_count,
                                         trt::DynamicPluginTensorDesc const*, int32_t) const noexcept {
  if (inputs == nullptr || input_count != kInputs || !is_features(inputs[kFeatures].max)) return 0;
  return workspace_size(attributes_, inputs[kFeatures].desc.type, inputs[kFeatures].max);
}

int32_t PillarMaxPlugin::onShapeChange(trt::PluginTensorDesc const* inputs, int32_t input_count,
                                       trt::PluginTensorDesc const* outputs, int32_t output_count) noexcept {
  if (inputs == nullptr || outputs == nullptr || input_count != kInputs || output_count != kOutputs) return -1;
  trt::Dims const& features = inputs[kFeatures].dims;
  trt::Dims const& cells = inputs[kCells].dims;
  if (is_features(features) && cells.nbDims == 1 && cells.d[0] == features.d[0]) return 0;
  log_error("PillarMax takes features (N, C) and cells (N) of the same N");
  return -1;
}

int32_t PillarMaxPlugin::enqueue(trt::PluginTensorDesc const* input_descs, trt::PluginTensorDesc const*,
                                 void const* const* inputs, void* const* outputs, void* workspace,
                                 CudaStream stream) noexcept {
  if (input_descs == nullptr || inputs == nullptr || outputs == nullptr) return -1;
  trt::PluginTensorDesc const& features = input_descs[kFeatures];
  if (!is_features(features.dims)) return -1;
  vexkd_status const status =
      vexkd_pillar_max_cuda(inputs[kFeatures], dtype_of(features.type), static_cast<int32_t const*>(inputs[kCells]),
                            static_cast<int32_t>(features.dims.d[0]), static_cast<int32_t>(features.dims.d[1]), 1,
                            attributes_.height, attributes_.width, outputs[0], nullptr, workspace,
                            workspace_size(attributes_, features.type, features.dims), stream);
  return succeeded("PillarMax", status) ? 0 : -1;
}

}  // namespace vexkd
