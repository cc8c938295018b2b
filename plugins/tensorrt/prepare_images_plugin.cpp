#include "prepare_images_plugin.hpp"

#include <cmath>

#include "vexkd/prepare_images.h"

namespace vexkd {
namespace {

constexpr int32_t kChannels = 3;
constexpr int32_t kOnnxFloat = 1, kOnnxFloat16 = 10;  // ONNX's TensorProto.DataType

}  // namespace

bool PrepareImagesAttributes::read(trt::PluginFieldCollection const* fields) noexcept {
  if (!read_size(fields, "height", &height) || !read_size(fields, "width", &width) ||
      !read_floats(fields, "mean", mean, kChannels) || !read_floats(fields, "deviation", deviation, kChannels) ||
      !read_size(fields, "dtype", &dtype)) {
    return false;
  }
  if (dtype != kOnnxFloat && dtype != kOnnxFloat16) {
    log_error("attribute dtype must be %d (FLOAT) or %d (FLOAT16), got %d", kOnnxFloat, kOnnxFloat16, dtype);
    return false;
  }
  for (int32_t channel = 0; channel < kChannels; ++channel) {
    if (std::isfinite(mean[channel]) && std::isfinite(deviation[channel]) && deviation[channel] > 0) continue;
    log_error("mean must be finite and deviation positive, got %g and %g of channel %d",
              static_cast<double>(mean[channel]), static_cast<double>(deviation[channel]), channel);
    return false;
  }
  return true;
}

PrepareImagesPlugin::Tensors PrepareImagesPlugin::tensors() const noexcept {
  bool const half = attributes_.dtype == kOnnxFloat16;
  Shape const prepared = {"V", kChannels, int64_t{attributes_.height}, int64_t{attributes_.width}};
  return {TensorRule{"images", Element::kBytes, {"V", "H", "W", kChannels}},
          TensorRule{"prepared", half ? Element::kHalf : Element::kFloat, prepared, half}};
}

vexkd_status PrepareImagesPlugin::workspace(Input const*, size_t* size) const noexcept {
  *size = 0;
  return VEXKD_OK;
}

vexkd_status PrepareImagesPlugin::run(Input const* inputs, trt::PluginTensorDesc const* outputs,
                                      void const* const* from, void* const* to, void*, size_t,
                                      CudaStream stream) const noexcept {
  trt::Dims const& images = inputs[0].dims;
  vexkd_image_shape const shape{to_size(images.d[0]), to_size(images.d[1]), to_size(images.d[2]), attributes_.height,
                                attributes_.width};
  return vexkd_prepare_images_cuda(static_cast<uint8_t const*>(from[0]), &shape, attributes_.mean,
                                   attributes_.deviation, dtype_of(outputs[0].type), layout_of(outputs[0]), to[0],
                                   stream);
}

}  // namespace vexkd
