#pragma once

#include "plugin_utils.hpp"

namespace vexkd {

/// range: x_min, y_min, z_min, x_max, y_max, z_max; cell: side along x and y. Metres.
struct VoxelizeAttributes {
  float range[6] = {};
  float cell[2] = {};

  bool read(trt::PluginFieldCollection const* fields) noexcept;
  std::array<trt::PluginField, 2> fields() const noexcept {
    return {trt::PluginField{"range", range, trt::PluginFieldType::kFLOAT32, 6},
            trt::PluginField{"cell", cell, trt::PluginFieldType::kFLOAT32, 2}};
  }
};

/// points (N, 5) f32, count (1) i32 -> features (N, 11) f32, cells (N) i32. N may be dynamic.
class VoxelizePlugin final : public OperatorPlugin<VoxelizePlugin, VoxelizeAttributes, 2, 2> {
 public:
  static constexpr char kName[] = "Voxelize";
  using OperatorPlugin::OperatorPlugin;

  Tensors tensors() const noexcept;
  vexkd_status workspace(Input const* inputs, size_t* size) const noexcept;
  vexkd_status run(Input const* inputs, trt::PluginTensorDesc const* outputs, void const* const* from, void* const* to,
                   void* workspace, size_t size, CudaStream stream) const noexcept;
};

using VoxelizeCreator = OperatorCreator<VoxelizePlugin, VoxelizeAttributes>;

}  // namespace vexkd
