#pragma once

#include "plugin_utils.hpp"

namespace vexkd {

/// features (N, C) f32 or f16, cells (N) i32 -> bev (1, C, height, width) of the features' type. N and C may be
/// dynamic.
class PillarMaxPlugin final : public OperatorPlugin<PillarMaxPlugin, BevSize> {
 public:
  static constexpr char kName[] = "PillarMax";
  using OperatorPlugin::OperatorPlugin;

  int32_t getNbOutputs() const noexcept override { return 1; }
  int32_t getOutputDataTypes(trt::DataType* outputs, int32_t output_count, trt::DataType const* inputs,
                             int32_t input_count) const noexcept override;
  int32_t getOutputShapes(trt::DimsExprs const* inputs, int32_t input_count, trt::DimsExprs const* shape_inputs,
                          int32_t shape_input_count, trt::DimsExprs* outputs, int32_t output_count,
                          trt::IExprBuilder& builder) noexcept override;
  bool supportsFormatCombination(int32_t position, trt::DynamicPluginTensorDesc const* tensors, int32_t input_count,
                                 int32_t output_count) noexcept override;
  size_t getWorkspaceSize(trt::DynamicPluginTensorDesc const* inputs, int32_t input_count,
                          trt::DynamicPluginTensorDesc const* outputs, int32_t output_count) const noexcept override;
  int32_t onShapeChange(trt::PluginTensorDesc const* inputs, int32_t input_count, trt::PluginTensorDesc const* outputs,
                        int32_t output_count) noexcept override;
  int32_t enqueue(trt::PluginTensorDesc const* input_descs, trt::PluginTensorDesc const* output_descs,
                  void const* const* inputs, void* const* outputs, void* workspace,
                  CudaStream stream) noexcept override;
};

using PillarMaxCreator = OperatorCreator<PillarMaxPlugin, BevSize>;

}  // namespace vexkd
