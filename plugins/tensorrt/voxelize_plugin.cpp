#include "voxelize_plugin.hpp"

#include "vexkd/voxelize.h"

namespace vexkd {
namespace {

enum Tensor : int32_t { kPoints, kCount, kFeatures, kCells };

vexkd_grid grid_of(VoxelizeAttributes const& attributes) noexcept {
  vexkd_grid grid{};
  vexkd_make_grid(attributes.range, attributes.cell, &grid);  // read() has refused what is no grid
  return grid;
}

int32_t capacity_of(Input const* inputs) noexcept { return to_size(inputs[kPoints].dims.d[0]); }

}  // namespace

bool VoxelizeAttributes::read(trt::PluginFieldCollection const* fields) noexcept {
  if (!read_floats(fields, "range", range, 6) || !read_floats(fields, "cell", cell, 2)) return false;
  vexkd_grid grid{};
  return succeeded("reading Voxelize's range and cell", vexkd_make_grid(range, cell, &grid));
}

void VoxelizePlugin::output_types(trt::DataType const*, trt::DataType* outputs) noexcept {
  outputs[0] = trt::DataType::kFLOAT;
  outputs[1] = trt::DataType::kINT32;
}

bool VoxelizePlugin::output_shapes(trt::DimsExprs const* inputs, trt::DimsExprs* outputs,
                                   trt::IExprBuilder& builder) const noexcept {
  if (inputs[kPoints].nbDims != 2 || inputs[kCount].nbDims != 1) return false;
  outputs[0].nbDims = 2;
  outputs[0].d[0] = inputs[kPoints].d[0];
  outputs[0].d[1] = builder.constant(VEXKD_POINT_FEATURES);
  outputs[1].nbDims = 1;
  outputs[1].d[0] = inputs[kPoints].d[0];
  return true;
}

bool VoxelizePlugin::supports(int32_t position, trt::DynamicPluginTensorDesc const* tensors) noexcept {
  bool const is_real = position == kPoints || position == kFeatures;
  return is_linear(tensors[position].desc, is_real ? trt::DataType::kFLOAT : trt::DataType::kINT32);
}

bool VoxelizePlugin::fits(Input const* inputs) const noexcept {
  trt::Dims const& points = inputs[kPoints].dims;
  trt::Dims const& count = inputs[kCount].dims;
  return points.nbDims == 2 && is_size(points.d[0]) && points.d[1] == VEXKD_POINT_SIZE && count.nbDims == 1 &&
         count.d[0] == 1;
}

vexkd_status VoxelizePlugin::workspace(Input const* inputs, size_t* size) const noexcept {
  vexkd_grid const grid = grid_of(attributes_);
  return vexkd_voxelize_cuda_workspace(1, capacity_of(inputs), &grid, size);
}

vexkd_status VoxelizePlugin::run(Input const* inputs, trt::PluginTensorDesc const*, void const* const* from,
                                 void* const* to, void* workspace, size_t size, CudaStream stream) const noexcept {
  vexkd_grid const grid = grid_of(attributes_);
  return vexkd_voxelize_cuda(static_cast<float const*>(from[kPoints]), static_cast<int32_t const*>(from[kCount]), 1,
                             capacity_of(inputs), &grid, VEXKD_F32, to[0], static_cast<int32_t*>(to[1]), workspace,
                             size, stream);
}

}  // namespace vexkd
