#pragma once

#include "plugin_utils.hpp"
#include "vexkd/frustum_index.h"

namespace vexkd {

/// depths of the bins; feature_height, feature_width and stride of the feature map; range: x_min, y_min, z_min, x_max,
/// y_max, z_max; cell: side along x and y. Metres.
struct FrustumIndexAttributes {
  float depths[VEXKD_FRUSTUM_CUDA_DEPTHS] = {};
  int32_t depth_count = 0;
  int32_t feature_height = 0, feature_width = 0, stride = 0;
  float range[6] = {};
  float cell[2] = {};

  bool read(trt::PluginFieldCollection const* fields) noexcept;
  std::array<trt::PluginField, 6> fields() const noexcept {
    return {trt::PluginField{"depths", depths, trt::PluginFieldType::kFLOAT32, depth_count},
            trt::PluginField{"feature_height", &feature_height, trt::PluginFieldType::kINT32, 1},
            trt::PluginField{"feature_width", &feature_width, trt::PluginFieldType::kINT32, 1},
            trt::PluginField{"stride", &stride, trt::PluginFieldType::kINT32, 1},
            trt::PluginField{"range", range, trt::PluginFieldType::kFLOAT32, 6},
            trt::PluginField{"cell", cell, trt::PluginFieldType::kFLOAT32, 2}};
  }
};

/// rays (V, 3, 3) f32, origins (V, 3) f32 -> points (V * depths * feature_height * feature_width) i32,
/// starts (height * width + 1) i32. V may be dynamic.
class FrustumIndexPlugin final : public OperatorPlugin<FrustumIndexPlugin, FrustumIndexAttributes, 2, 2> {
 public:
  static constexpr char kName[] = "FrustumIndex";
  using OperatorPlugin::OperatorPlugin;

  Tensors tensors() const noexcept;
  vexkd_status workspace(Input const* inputs, size_t* size) const noexcept;
  vexkd_status run(Input const* inputs, trt::PluginTensorDesc const* outputs, void const* const* from, void* const* to,
                   void* workspace, size_t size, CudaStream stream) const noexcept;
};

using FrustumIndexCreator = OperatorCreator<FrustumIndexPlugin, FrustumIndexAttributes>;

}  // namespace vexkd
