#include "pillar_max_plugin.hpp"

#include "vexkd/pillar_max.h"

namespace vexkd {
namespace {

enum Tensor : int32_t { kFeatures, kCells, kBev };

}  // namespace

void PillarMaxPlugin::output_types(trt::DataType const* inputs, trt::DataType* outputs) noexcept {
  outputs[0] = inputs[kFeatures];
}

bool PillarMaxPlugin::output_shapes(trt::DimsExprs const* inputs, trt::DimsExprs* outputs,
                                    trt::IExprBuilder& builder) const noexcept {
  if (inputs[kFeatures].nbDims != 2 || inputs[kCells].nbDims != 1) return false;
  outputs[0] = attributes_.map_of(inputs[kFeatures].d[1], builder);
  return true;
}

bool PillarMaxPlugin::supports(int32_t position, trt::DynamicPluginTensorDesc const* tensors) noexcept {
  if (position == kCells) return is_linear(tensors[kCells].desc, trt::DataType::kINT32);
  trt::DataType const type = tensors[kFeatures].desc.type;
  return is_float(type) && is_linear(tensors[position].desc, type);
}

bool PillarMaxPlugin::fits(Input const* inputs) const noexcept {
  trt::Dims const& features = inputs[kFeatures].dims;
  trt::Dims const& cells = inputs[kCells].dims;
  return features.nbDims == 2 && is_size(features.d[0]) && is_size(features.d[1]) && cells.nbDims == 1 &&
         cells.d[0] == features.d[0];
}

vexkd_status PillarMaxPlugin::workspace(Input const* inputs, size_t* size) const noexcept {
  Input const& features = inputs[kFeatures];
  return vexkd_pillar_max_cuda_workspace(dtype_of(features.type), to_size(features.dims.d[0]),
                                         to_size(features.dims.d[1]), 1, attributes_.height, attributes_.width, 0,
                                         size);
}

vexkd_status PillarMaxPlugin::run(Input const* inputs, trt::PluginTensorDesc const*, void const* const* from,
                                  void* const* to, void* workspace, size_t size, CudaStream stream) const noexcept {
  Input const& features = inputs[kFeatures];
  return vexkd_pillar_max_cuda(from[kFeatures], dtype_of(features.type), static_cast<int32_t const*>(from[kCells]),
                               to_size(features.dims.d[0]), to_size(features.dims.d[1]), 1, attributes_.height,
                               attributes_.width, to[0], nullptr, workspace, size, stream);
}

}  // namespace vexkd
