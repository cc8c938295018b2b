#include "pillar_max_plugin.hpp"

#include "vexkd/pillar_max.h"

namespace vexkd {
namespace {

enum Tensor : int32_t { kFeatures, kCells, kBev };

}  // namespace

PillarMaxPlugin::Tensors PillarMaxPlugin::tensors() const noexcept {
  return {TensorRule{"features", Element::kReal, {"N", "C"}}, TensorRule{"cells", Element::kInt, {"N"}},
          TensorRule{"bev", Element::kReal, attributes_.map("C"), true}};
}

vexkd_status PillarMaxPlugin::workspace(Input const* inputs, size_t* size) const noexcept {
  Input const& features = inputs[kFeatures];
  return vexkd_pillar_max_cuda_workspace(dtype_of(features.type), to_size(features.dims.d[0]),
                                         to_size(features.dims.d[1]), 1, attributes_.height, attributes_.width, 0,
                                         size);
}

vexkd_status PillarMaxPlugin::run(Input const* inputs, trt::PluginTensorDesc const* outputs, void const* const* from,
                                  void* const* to, void* workspace, size_t size, CudaStream stream) const noexcept {
  Input const& features = inputs[kFeatures];
  return vexkd_pillar_max_cuda(from[kFeatures], dtype_of(features.type), static_cast<int32_t const*>(from[kCells]),
                               to_size(features.dims.d[0]), to_size(features.dims.d[1]), 1, attributes_.height,
                               attributes_.width, to[0], nullptr, layout_of(outputs[0]), workspace, size, stream);
}

}  // namespace vexkd
