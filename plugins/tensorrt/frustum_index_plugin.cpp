#include "frustum_index_plugin.hpp"

namespace vexkd {
namespace {

enum Tensor : int32_t { kRays, kOrigins };

vexkd_grid grid_of(FrustumIndexAttributes const& attributes) noexcept {
  vexkd_grid grid{};
  vexkd_make_grid(attributes.range, attributes.cell, &grid);  // read() has refused what is no grid
  return grid;
}

vexkd_frustum_shape shape_of(FrustumIndexAttributes const& attributes, int64_t views) noexcept {
  return {1,
          to_size(views),
          attributes.depth_count,
          attributes.feature_height,
          attributes.feature_width,
          attributes.stride};
}

}  // namespace

bool FrustumIndexAttributes::read(trt::PluginFieldCollection const* fields) noexcept {
  trt::PluginField const* const bins = find_field(fields, "depths");
  depth_count = bins == nullptr ? 0 : bins->length;
  if (depth_count < 1 || depth_count > VEXKD_FRUSTUM_CUDA_DEPTHS) {
    log_error("attribute depths must be 1 to %d floats", VEXKD_FRUSTUM_CUDA_DEPTHS);
    return false;
  }
  if (!read_floats(fields, "depths", depths, depth_count) || !read_size(fields, "feature_height", &feature_height) ||
      !read_size(fields, "feature_width", &feature_width) || !read_size(fields, "stride", &stride) ||
      !read_floats(fields, "range", range, 6) || !read_floats(fields, "cell", cell, 2)) {
    return false;
  }
  vexkd_grid grid{};
  if (!succeeded("reading FrustumIndex's range and cell", vexkd_make_grid(range, cell, &grid))) return false;
  vexkd_frustum_shape const shape = shape_of(*this, 1);
  size_t size = 0;
  return succeeded("reading FrustumIndex's sizes", vexkd_frustum_index_cuda_workspace(&shape, &grid, &size));
}

FrustumIndexPlugin::Tensors FrustumIndexPlugin::tensors() const noexcept {
  int64_t const per_view =
      int64_t{attributes_.depth_count} * attributes_.feature_height * attributes_.feature_width;  // read() bounds it
  vexkd_grid const grid = grid_of(attributes_);
  return {TensorRule{"rays", Element::kFloat, {"V", 3, 3}}, TensorRule{"origins", Element::kFloat, {"V", 3}},
          TensorRule{"points", Element::kInt, {{"V", per_view}}},
          TensorRule{"starts", Element::kInt, {int64_t{grid.height} * grid.width + 1}}};
}

vexkd_status FrustumIndexPlugin::workspace(Input const* inputs, size_t* size) const noexcept {
  vexkd_frustum_shape const shape = shape_of(attributes_, inputs[kRays].dims.d[0]);
  vexkd_grid const grid = grid_of(attributes_);
  return vexkd_frustum_index_cuda_workspace(&shape, &grid, size);
}

vexkd_status FrustumIndexPlugin::run(Input const* inputs, trt::PluginTensorDesc const*, void const* const* from,
                                     void* const* to, void* workspace, size_t size, CudaStream stream) const noexcept {
  vexkd_frustum_shape const shape = shape_of(attributes_, inputs[kRays].dims.d[0]);
  vexkd_grid const grid = grid_of(attributes_);
  return vexkd_frustum_index_cuda(static_cast<float const*>(from[kRays]), static_cast<float const*>(from[kOrigins]),
                                  attributes_.depths, &shape, &grid, static_cast<int32_t*>(to[0]),
                                  static_cast<int32_t*>(to[1]), workspace, size, stream);
}

}  // namespace vexkd
