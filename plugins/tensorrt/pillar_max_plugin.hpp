#pragma once

#include "plugin_utils.hpp"

namespace vexkd {

/// features (N, C) f32 or f16, cells (N) i32 -> bev (1, C, height, width) of the features' type. N and C may be
/// dynamic.
class PillarMaxPlugin final : public OperatorPlugin<PillarMaxPlugin, BevSize, 2, 1> {
 public:
  static constexpr char kName[] = "PillarMax";
  static constexpr char kSignature[] = "features (N, C) and cells (N)";
  using OperatorPlugin::OperatorPlugin;

  static void output_types(trt::DataType const* inputs, trt::DataType* outputs) noexcept;
  bool output_shapes(trt::DimsExprs const* inputs, trt::DimsExprs* outputs, trt::IExprBuilder& builder) const noexcept;
  static bool supports(int32_t position, trt::DynamicPluginTensorDesc const* tensors) noexcept;
  bool fits(Input const* inputs) const noexcept;
  vexkd_status workspace(Input const* inputs, size_t* size) const noexcept;
  vexkd_status run(Input const* inputs, trt::PluginTensorDesc const* outputs, void const* const* from, void* const* to,
                   void* workspace, size_t size, CudaStream stream) const noexcept;
};

using PillarMaxCreator = OperatorCreator<PillarMaxPlugin, BevSize>;

}  // namespace vexkd
