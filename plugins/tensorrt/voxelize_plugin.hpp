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
class VoxelizePlugin final : public OperatorPlugin<VoxelizePlugin, VoxelizeAttributes> {
 public:
  static constexpr char kName[] = "Voxelize";
  using OperatorPlugin::OperatorPlugin;

  int32_t getNbOutputs() const noexcept override { return 2; }
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

using VoxelizeCreator = OperatorCreator<VoxelizePlugin, VoxelizeAttributes>;

}  // namespace vexkd
