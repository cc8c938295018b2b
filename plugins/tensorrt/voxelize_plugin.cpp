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

VoxelizePlugin::Tensors VoxelizePlugin::tensors() const noexcept {
  return {TensorRule{"points", Element::kFloat, {"N", VEXKD_POINT_SIZE}}, TensorRule{"count", Element::kInt, {1}},
          TensorRule{"features", Element::kFloat, {"N", VEXKD_POINT_FEATURES}},
          TensorRule{"cells", Element::kInt, {"N"}}};
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
