#pragma once

#include "plugin_utils.hpp"

namespace vexkd {

/// height and width of the prepared images; mean and deviation of each channel, of 0 .. 255; dtype as ONNX numbers it.
struct PrepareImagesAttributes {
  int32_t height = 0;
  int32_t width = 0;
  float mean[3] = {};
  float deviation[3] = {};
  int32_t dtype = 0;

  bool read(trt::PluginFieldCollection const* fields) noexcept;
  std::array<trt::PluginField, 5> fields() const noexcept {
    return {trt::PluginField{"height", &height, trt::PluginFieldType::kINT32, 1},
            trt::PluginField{"width", &width, trt::PluginFieldType::kINT32, 1},
            trt::PluginField{"mean", mean, trt::PluginFieldType::kFLOAT32, 3},
            trt::PluginField{"deviation", deviation, trt::PluginFieldType::kFLOAT32, 3},
            trt::PluginField{"dtype", &dtype, trt::PluginFieldType::kINT32, 1}};
  }
};

/// images (V, H, W, 3), the bytes of u8 in an INT8 tensor -> prepared (V, 3, height, width), f32 or f16 as `dtype`
/// says; f16 planar or packed by eight channels, as the next layer likes. V, H and W may be dynamic.
class PrepareImagesPlugin final : public OperatorPlugin<PrepareImagesPlugin, PrepareImagesAttributes, 1, 1> {
 public:
  static constexpr char kName[] = "PrepareImages";
  using OperatorPlugin::OperatorPlugin;

  Tensors tensors() const noexcept;
  vexkd_status workspace(Input const* inputs, size_t* size) const noexcept;
  vexkd_status run(Input const* inputs, trt::PluginTensorDesc const* outputs, void const* const* from, void* const* to,
                   void* workspace, size_t size, CudaStream stream) const noexcept;
};

using PrepareImagesCreator = OperatorCreator<PrepareImagesPlugin, PrepareImagesAttributes>;

}  // namespace vexkd
