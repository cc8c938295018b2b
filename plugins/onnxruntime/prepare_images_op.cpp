#include "prepare_images_op.hpp"

#include <cmath>

#include "vexkd/prepare_images.h"

namespace vexkd::ort {
namespace {

constexpr int32_t kChannels = 3;

}  // namespace

ElementType PrepareImagesKernel::input_type(size_t, ElementType) { return ElementType::kUint8; }

ElementType PrepareImagesKernel::output_type(size_t, ElementType real) { return real; }

void PrepareImagesKernel::infer(const ShapeContext& context) {
  // By this type ONNX Runtime chooses between the operators; a dtype that is none is refused with its kernel.
  const bool half = context.size_attribute("dtype").size == static_cast<int64_t>(ElementType::kFloat16);
  const ElementType type = half ? ElementType::kFloat16 : ElementType::kFloat;
  context.set_output(
      0, type,
      {context.dimension(0, 0), {kChannels}, context.size_attribute("height"), context.size_attribute("width")});
}

PrepareImagesKernel::PrepareImagesKernel(const Attributes& attributes)
    : height_(attributes.size("height")),
      width_(attributes.size("width")),
      type_(static_cast<ElementType>(attributes.size("dtype"))) {
  attributes.floats("mean", mean_, kChannels);
  attributes.floats("deviation", deviation_, kChannels);
  if (type_ != ElementType::kFloat && type_ != ElementType::kFloat16) {
    throw Failure("attribute dtype must be 1 (FLOAT) or 10 (FLOAT16), got " +
                  std::to_string(static_cast<int32_t>(type_)));
  }
  for (int32_t channel = 0; channel < kChannels; ++channel) {
    if (std::isfinite(mean_[channel]) && std::isfinite(deviation_[channel]) && deviation_[channel] > 0) continue;
    throw Failure("attribute mean must be finite and deviation positive, got " + std::to_string(mean_[channel]) +
                  " and " + std::to_string(deviation_[channel]) + " of channel " + std::to_string(channel));
  }
}

void PrepareImagesKernel::run(Call& call) const {
  const Tensor images = call.input(0);
  if (!images.has_shape({Tensor::kAny, Tensor::kAny, Tensor::kAny, kChannels})) {
    refuse_inputs("images (V, H, W, 3)", {images});
  }
  const vexkd_image_shape shape{images.size(0), images.size(1), images.size(2), height_, width_};
  void* const prepared = call.output(0, {shape.views, kChannels, height_, width_});
  const uint8_t* const pixels = images.as<uint8_t>();
  if (call.on_cuda()) {
    check(vexkd_prepare_images_cuda(pixels, &shape, mean_, deviation_, dtype_of(type_), VEXKD_PLANAR, prepared,
                                    call.stream()));
  } else {
    check(vexkd_prepare_images_cpu(pixels, &shape, mean_, deviation_, dtype_of(type_), VEXKD_PLANAR, prepared,
                                   call.threads()));
  }
}

}  // namespace vexkd::ort
