#pragma once

#include "plugin_utils.hpp"

namespace vexkd {

/// features (N, C) f32 or f16, cells (N) i32 -> bev (1, C, height, width) of the features' type. N and C may be
/// dynamic.
class PillarMaxPlugin final : public OperatorPlugin<PillarMaxPlugin, BevSize, 2, 1> {
 public:
  static constexpr char kName[] = "PillarMax";
  using OperatorPlugin::OperatorPlugin;

  Tensors tensors() const noexcept;
  vexkd_status workspace(Input const* inputs, size_t* size) const noexcept;
  vexkd_status run(Input const* inputs, trt::PluginTensorDesc const* outputs, void const* const* from, void* const* to,
                   void* workspace, size_t size, CudaStream stream) const noexcept;
};

using PillarMaxCreator = OperatorCreator<PillarMaxPlugin, BevSize>;

}  // namespace vexkd
