#pragma once

#include "plugin_utils.hpp"

namespace vexkd {

/// depth (V, D, h, w) and context (V, C, h, w), both f32 or both f16, points (K) i32, starts (height * width + 1) i32
/// -> bev (1, C, height, width) of the same type. V, D, C, h, w and K may be dynamic.
class BevPoolPlugin final : public OperatorPlugin<BevPoolPlugin, BevSize, 4, 1> {
 public:
  static constexpr char kName[] = "BevPool";
  static constexpr char kSignature[] =
      "depth (V, D, h, w), context (V, C, h, w), points (K) and starts (height * width + 1)";
  using OperatorPlugin::OperatorPlugin;

  static void output_types(trt::DataType const* inputs, trt::DataType* outputs) noexcept;
  bool output_shapes(trt::DimsExprs const* inputs, trt::DimsExprs* outputs, trt::IExprBuilder& builder) const noexcept;
  static bool supports(int32_t position, trt::DynamicPluginTensorDesc const* tensors) noexcept;
  bool fits(Input const* inputs) const noexcept;
  vexkd_status workspace(Input const* inputs, size_t* size) const noexcept;
  vexkd_status run(Input const* inputs, trt::PluginTensorDesc const* outputs, void const* const* from, void* const* to,
                   void* workspace, size_t size, CudaStream stream) const noexcept;
};

using BevPoolCreator = OperatorCreator<BevPoolPlugin, BevSize>;

}  // namespace vexkd
