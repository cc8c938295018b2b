#include "prepare_images_plugin.hpp"

#include <cmath>

#include "vexkd/prepare_images.h"

namespace vexkd {
namespace {

enum Tensor : int32_t { kImages, kPrepared };
constexpr int32_t kChannels = 3;
constexpr int32_t kOnnxFloat = 1, kOnnxFloat16 = 10;  // ONNX's TensorProto.DataType

trt::DataType type_of(PrepareImagesAttributes const& attributes) noexcept {
  return attributes.dtype == kOnnxFloat16 ? trt::DataType::kHALF : trt::DataType::kFLOAT;
}

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

void PrepareImagesPlugin::output_types(trt::DataType const*, trt::DataType* outputs) const noexcept {
  outputs[0] = type_of(attributes_);
}

bool PrepareImagesPlugin::output_shapes(trt::DimsExprs const* inputs, trt::DimsExprs* outputs,
                                        trt::IExprBuilder& builder) const noexcept {
  if (inputs[kImages].nbDims != 4) return false;
  outputs[0] = {4,
                {inputs[kImages].d[0], builder.constant(kChannels), builder.constant(attributes_.height),
                 builder.constant(attributes_.width)}};
  return true;
}

// The cameras' bytes come as INT8: TensorRT gives plugins no UINT8. Nothing reads them as signed numbers.
bool PrepareImagesPlugin::supports(int32_t position, trt::DynamicPluginTensorDesc const* tensors) const noexcept {
  trt::PluginTensorDesc const& tensor = tensors[position].desc;
  if (position == kImages) return is_linear(tensor, trt::DataType::kINT8);
  trt::DataType const type = type_of(attributes_);
  return is_linear(tensor, type) || (type == trt::DataType::kHALF && is_packed(tensor));
}

bool PrepareImagesPlugin::fits(Input const* inputs) const noexcept {
  trt::Dims const& images = inputs[kImages].dims;
  return images.nbDims == 4 && images.d[3] == kChannels && is_size(images.d[0]) && is_size(images.d[1]) &&
         is_size(images.d[2]);
}

vexkd_status PrepareImagesPlugin::workspace(Input const*, size_t* size) const noexcept {
  *size = 0;
  return VEXKD_OK;
}

vexkd_status PrepareImagesPlugin::run(Input const* inputs, trt::PluginTensorDesc const* outputs,
                                      void const* const* from, void* const* to, void*, size_t,
                                      CudaStream stream) const noexcept {
  trt::Dims const& images = inputs[kImages].dims;
  vexkd_image_shape const shape{to_size(images.d[0]), to_size(images.d[1]), to_size(images.d[2]), attributes_.height,
                                attributes_.width};
  return vexkd_prepare_images_cuda(static_cast<uint8_t const*>(from[kImages]), &shape, attributes_.mean,
                                   attributes_.deviation, dtype_of(type_of(attributes_)), layout_of(outputs[0]), to[0],
                                   stream);
}

}  // namespace vexkd
