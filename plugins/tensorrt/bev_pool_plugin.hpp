#pragma once

#include "plugin_utils.hpp"

namespace vexkd {

/// depth (V, D, h, w) and context (V, C, h, w), both f32 or both f16, points (K) i32, starts (height * width + 1) i32
/// -> bev (1, C, height, width) of the same type. V, D, C, h, w and K may be dynamic.
class BevPoolPlugin final : public OperatorPlugin<BevPoolPlugin, BevSize, 4, 1> {
 public:
  static constexpr char kName[] = "BevPool";
  using OperatorPlugin::OperatorPlugin;

  Tensors tensors() const noexcept;
  vexkd_status workspace(Input const* inputs, size_t* size) const noexcept;
  vexkd_status run(Input const* inputs, trt::PluginTensorDesc const* outputs, void const* const* from, void* const* to,
                   void* workspace, size_t size, CudaStream stream) const noexcept;
};

using BevPoolCreator = OperatorCreator<BevPoolPlugin, BevSize>;

}  // namespace vexkd
