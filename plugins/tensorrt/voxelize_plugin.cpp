#include "voxelize_plugin.hpp"

#include "vexkd/voxelize.h"

namespace vexkd {
namespace {

enum Tensor : int32_t { kPoints, kCount, kFeatures, kCells, kTensors };
constexpr int32_t kInputs = 2;
constexpr int32_t kOutputs = 2;

vexkd_grid grid_of(VoxelizeAttributes const& attributes) noexcept {
  vexkd_grid grid{};
  vexkd_make_grid(attributes.range, attributes.cell, &grid);  // read() has refused what is no grid
  return grid;
}

// The kernel is told this size in enqueue too: TensorRT allots what was asked for here, from the largest shapes.
size_t workspace_size(VoxelizeAttributes const& attributes, int64_t capacity) noexcept {
  size_t size = 0;
  vexkd_grid const grid = grid_of(attributes);
  succeeded("Voxelize's workspace query",
            vexkd_voxelize_cuda_workspace(1, static_cast<int32_t>(capacity), &grid, &size));
  return size;
}

}  // namespace

bool VoxelizeAttributes::read(trt::PluginFieldCollection const* fields) noexcept {
  if (!read_floats(fields, "range", range, 6) || !read_floats(fields, "cell", cell, 2)) return false;
  vexkd_grid grid{};
  return succeeded("reading Voxelize's range and cell", vexkd_make_grid(range, cell, &grid));
}

int32_t VoxelizePlugin::getOutputDataTypes(trt::DataType* outputs, int32_t output_count, trt::DataType const* inputs,
                                           int32_t input_count) const noexcept {
  if (outputs == nullptr || inputs == nullptr || input_count != kInputs || output_count != kOutputs) return -1;
  outputs[0] = trt::DataType::kFLOAT;
  outputs[1] = trt::DataType::kINT32;
  return 0;
}

int32_t VoxelizePlugin::getOutputShapes(trt::DimsExprs const* inputs, int32_t input_count, trt::DimsExprs const*,
                                        int32_t, trt::DimsExprs* outputs, int32_t output_count,
                                        trt::IExprBuilder& builder) noexcept {
  if (inputs == nullptr || outputs == nullptr || input_count != kInputs || output_count != kOutputs) return -1;
  if (inputs[kPoints].nbDims != 2 || inputs[kCount].nbDims != 1) {
    log_error("Voxelize takes points (N, 5) and count (1), got tensors of rank %d and %d", inputs[kPoints].nbDims,
              inputs[kCount].nbDims);
    return -1;
  }
  outputs[0].nbDims = 2;
  outputs[0].d[0] = inputs[kPoints].d[0];
  outputs[0].d[1] = builder.constant(VEXKD_POINT_FEATURES);
  outputs[1].nbDims = 1;
  outputs[1].d[0] = inputs[kPoints].d[0];
  return 0;
}

bool VoxelizePlugin::supportsFormatCombination(int32_t position, trt::DynamicPluginTensorDesc const* tensors,
                                               int32_t input_count, int32_t output_count) noexcept {
  if (tensors == nullptr || input_count != kInputs || output_count != kOutputs) return false;
  if (position < 0 || position >= kTensors) return false;
  bool const is_real = position == kPoints || position == kFeatures;
  return is_linear(tensors[position].desc, is_real ? trt::DataType::kFLOAT : trt::DataType::kINT32);
}

size_t VoxelizePlugin::getWorkspaceSize(trt::DynamicPluginTensorDesc const* inputs, int32_t input_count,
                                        trt::DynamicPluginTensorDesc const*, int32_t) const noexcept {
  if (inputs == nullptr || input_count != kInputs || !is_size(inputs[kPoints].max.d[0])) return 0;
  return workspace_size(attributes_, inputs[kPoints].max.d[0]);
}

int32_t VoxelizePlugin::onShapeChange(trt::PluginTensorDesc const* inputs, int32_t input_count,
                                      trt::PluginTensorDesc const* outputs, int32_t output_count) noexcept {
  if (inputs == nullptr || outputs == nullptr || input_count != kInputs || output_count != kOutputs) return -1;
  trt::Dims const& points = inputs[kPoints].dims;
  trt::Dims const& count = inputs[kCount].dims;
  if (points.nbDims == 2 && is_size(points.d[0]) && points.d[1] == VEXKD_POINT_SIZE && count.nbDims == 1 &&
      count.d[0] == 1) {
    return 0;
  }
  log_error("Voxelize takes points (N, 5) and count (1)");
  return -1;
}

int32_t VoxelizePlugin::enqueue(trt::PluginTensorDesc const* input_descs, trt::PluginTensorDesc const*,
                                void const* const* inputs, void* const* outputs, void* workspace,
                                CudaStream stream) noexcept {
  if (input_descs == nullptr || inputs == nullptr || outputs == nullptr) return -1;
  int64_t const capacity = input_descs[kPoints].dims.d[0];
  if (!is_size(capacity)) return -1;
  vexkd_grid const grid = grid_of(attributes_);
  vexkd_status const status =
      vexkd_voxelize_cuda(static_cast<float const*>(inputs[kPoints]), static_cast<int32_t const*>(inputs[kCount]), 1,
                          static_cast<int32_t>(capacity), &grid, VEXKD_F32, outputs[0],
                          static_cast<int32_t*>(outputs[1]), workspace, workspace_size(attributes_, capacity), stream);
  return succeeded("Voxelize", status) ? 0 : -1;
}

}  // namespace vexkd
