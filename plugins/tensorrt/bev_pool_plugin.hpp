#pragma once

#include "plugin_utils.hpp"

namespace vexkd {

/// depth (V, D, h, w) and context (V, C, h, w), both f32 or both f16, points (K) i32, starts (height * width + 1) i32
/// -> bev (1, C, height, width) of the same type. V, D, C, h, w and K may be dynamic.
class BevPoolPlugin final : public OperatorPlugin<BevPoolPlugin, BevSize> {
 public:
  static constexpr char kName[] = "BevPool";
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

using BevPoolCreator = OperatorCreator<BevPoolPlugin, BevSize>;

}  // namespace vexkd
