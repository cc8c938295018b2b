// prepare_images: a warp writes 32 consecutive pixels of one output row in all three channels. The bytes it reads of a
// raw row lie together, so they come from the first-level cache after the first of its loads. In the packed layout a
// thread writes its whole pixel, 16 bytes. All cameras in one launch.
#include <cmath>

#include "cuda_common.cuh"
#include "vexkd/prepare_images.h"

namespace vexkd::device {
namespace {

constexpr int kChannels = 3;
constexpr int kTileColumns = 32;  // one warp's
constexpr int kTileRows = kBlock / kTileColumns;

// Where one output position reads an axis of the raw image: pixels below and above, with weights 1 - w and w.
struct Tap {
  int32_t below, above;
  float weight;
};

struct ResizedAxis {
  int32_t raw, first;  // raw pixels; position of the crop in the resized image
  float scale;         // raw pixels per resized pixel

  __device__ Tap at(int32_t position) const {
    const float exact = __fsub_rn(__fmul_rn(__fadd_rn(static_cast<float>(position + first), 0.5F), scale), 0.5F);
    const float clamped = exact > 0.0F ? exact : 0.0F;
    const int32_t below = min(static_cast<int32_t>(clamped), raw - 1);
    return {below, min(below + 1, raw - 1), __fsub_rn(clamped, static_cast<float>(below))};
  }
};

struct Preparation {
  ResizedAxis x, y;
  int32_t views, height, width;
  int32_t tiles;  // along a row
  float mean[kChannels], deviation[kChannels];
};

// a * (1 - weight) + b * weight, each operation rounded.
__device__ float blend(float a, float b, float weight) {
  return __fadd_rn(__fmul_rn(a, __fsub_rn(1.0F, weight)), __fmul_rn(b, weight));
}

// Where a pixel's channels go: to planes of their own ...
template <typename T>
struct Planes {
  T* first;
  int64_t plane;  // elements

  __device__ void write(int64_t view, int64_t pixel, const float (&channels)[kChannels]) const {
    T* const to = first + view * kChannels * plane + pixel;
    for (int channel = 0; channel < kChannels; ++channel) store(channels[channel], to + channel * plane);
  }
};

// ... or side by side, with zeros behind them.
struct PackedPixels {
  using Pixel = Pack<__half, kPackedChannels>;
  Pixel* first;
  int64_t plane;  // pixels

  __device__ void write(int64_t view, int64_t pixel, const float (&channels)[kChannels]) const {
    Pixel packed;
    for (int channel = 0; channel < kPackedChannels; ++channel) {
      store(channel < kChannels ? channels[channel] : 0.0F, packed.values + channel);
    }
    first[view * plane + pixel] = packed;
  }
};

template <typename Output>
__global__ void __launch_bounds__(kBlock)
    prepare(const uint8_t* __restrict__ images, Preparation sizes, Output prepared) {
  const auto tiles = static_cast<unsigned>(sizes.tiles);
  const auto column = static_cast<int32_t>(blockIdx.x % tiles * kTileColumns + threadIdx.x % kTileColumns);
  const auto row = static_cast<int32_t>(blockIdx.x / tiles * kTileRows + threadIdx.x / kTileColumns);
  if (column >= sizes.width || row >= sizes.height) return;
  const Tap x = sizes.x.at(column), y = sizes.y.at(row);
  const int64_t row_bytes = int64_t{sizes.x.raw} * kChannels, image_bytes = row_bytes * sizes.y.raw;
  for (int64_t view = blockIdx.y; view < sizes.views; view += gridDim.y) {
    const uint8_t* const upper = images + view * image_bytes + y.below * row_bytes;
    const uint8_t* const lower = images + view * image_bytes + y.above * row_bytes;
    float channels[kChannels];
    for (int channel = 0; channel < kChannels; ++channel) {
      const int64_t left = int64_t{x.below} * kChannels + channel, right = int64_t{x.above} * kChannels + channel;
      const float above = blend(upper[left], upper[right], x.weight),
                  below = blend(lower[left], lower[right], x.weight);
      const float pixel = blend(above, below, y.weight);
      channels[channel] = __fdiv_rn(__fsub_rn(pixel, sizes.mean[channel]), sizes.deviation[channel]);
    }
    prepared.write(view, int64_t{row} * sizes.width + column, channels);
  }
}

ResizedAxis resized_axis(int32_t raw, int32_t resized, int32_t first) {
  return {raw, first, static_cast<float>(raw) / static_cast<float>(resized)};
}

}  // namespace
}  // namespace vexkd::device

vexkd_status vexkd_prepare_images_cuda(const uint8_t* images, const vexkd_image_shape* shape, const float* mean,
                                       const float* deviation, vexkd_dtype dtype, vexkd_layout layout, void* prepared,
                                       void* stream_pointer) {
  using namespace vexkd;
  using namespace vexkd::device;
  const vexkd_status status = check_image_preparation(images, shape, mean, deviation, dtype, layout, prepared);
  if (status != VEXKD_OK || shape->views == 0) return status;

  const auto stream = static_cast<cudaStream_t>(stream_pointer);
  const ResizedSize resized = resized_size(*shape);
  Preparation sizes{resized_axis(shape->raw_width, resized.width, (resized.width - shape->width) / 2),
                    resized_axis(shape->raw_height, resized.height, resized.height - shape->height),
                    shape->views,
                    shape->height,
                    shape->width,
                    static_cast<int32_t>(ceil_divide(shape->width, kTileColumns)),
                    {},
                    {}};
  for (int channel = 0; channel < kChannels; ++channel) {
    sizes.mean[channel] = mean[channel];
    sizes.deviation[channel] = deviation[channel];
  }
  const dim3 grid(static_cast<unsigned>(sizes.tiles * ceil_divide(shape->height, kTileRows)), limited(shape->views));
  const int64_t plane = int64_t{shape->height} * shape->width;
  if (layout == VEXKD_PACKED8) {
    const PackedPixels pixels{static_cast<PackedPixels::Pixel*>(prepared), plane};
    prepare<<<grid, kBlock, 0, stream>>>(images, sizes, pixels);
  } else if (dtype == VEXKD_F16) {
    const Planes<__half> planes{static_cast<__half*>(prepared), plane};
    prepare<<<grid, kBlock, 0, stream>>>(images, sizes, planes);
  } else {
    const Planes<float> planes{static_cast<float*>(prepared), plane};
    prepare<<<grid, kBlock, 0, stream>>>(images, sizes, planes);
  }
  return launched();
}
