#include "vexkd/prepare_images.h"

#include <algorithm>
#include <cmath>

#include "checks.h"
#include "cpu.h"
#include "memory.h"
#include "parallel.h"

namespace vexkd {
namespace {

constexpr int64_t kColumns = 512;  // output columns at a time
constexpr int64_t kRows = 8;       // output rows of one task
constexpr int64_t kChannels = 3;

// One pixel of VEXKD_PACKED8.
struct Pixel {
  Half channels[kPackedChannels];
};

// One axis of the resize: output position p of the crop reads raw pixels below and above with weights 1 - w and w.
struct Axis {
  int32_t raw, resized, first;

  VEXKD_INLINE void locate(int64_t position, int32_t* below, int32_t* above, float* weight) const {
    const float scale = static_cast<float>(raw) / static_cast<float>(resized);
    const float exact = (static_cast<float>(position + first) + 0.5F) * scale - 0.5F;
    const float clamped = exact > 0 ? exact : 0.0F;
    *below = std::min(static_cast<int32_t>(clamped), raw - 1);
    *above = std::min(*below + 1, raw - 1);
    *weight = clamped - static_cast<float>(*below);
  }
};

struct Resize {
  Axis x, y;
};

Resize make_resize(const vexkd_image_shape& shape) {
  const ResizedSize size = resized_size(shape);
  return {{shape.raw_width, size.width, (size.width - shape.width) / 2},
          {shape.raw_height, size.height, size.height - shape.height}};
}

// Where the columns of a stretch of output read a raw row, in bytes.
struct Stretch {
  int32_t below[kColumns], above[kColumns];
  float weight[kColumns];
};

template <typename T>
VEXKD_INLINE void blend(const uint8_t* upper, const uint8_t* lower, float weight, const Stretch& stretch, int64_t n,
                        float mean, float deviation, T* to) {
  for (int64_t i = 0; i < n; ++i) {
    const float right = stretch.weight[i], left = 1.0F - right;
    const float above =
        static_cast<float>(upper[stretch.below[i]]) * left + static_cast<float>(upper[stretch.above[i]]) * right;
    const float below =
        static_cast<float>(lower[stretch.below[i]]) * left + static_cast<float>(lower[stretch.above[i]]) * right;
    const float pixel = above * (1.0F - weight) + below * weight;
    store((pixel - mean) / deviation, to + i);
  }
}

VEXKD_CLONES void blend_float(const uint8_t* upper, const uint8_t* lower, float weight, const Stretch& stretch,
                              int64_t n, float mean, float deviation, float* to) {
  blend(upper, lower, weight, stretch, n, mean, deviation, to);
}

VEXKD_CLONES void blend_half(const uint8_t* upper, const uint8_t* lower, float weight, const Stretch& stretch,
                             int64_t n, float mean, float deviation, Half* to) {
  blend(upper, lower, weight, stretch, n, mean, deviation, to);
}

// Three rows of `stride` halves to pixels whose other channels are 0.
void interleave(const Half* rows, int64_t stride, int64_t n, Pixel* to) {
  for (int64_t i = 0; i < n; ++i) to[i] = {{rows[i], rows[stride + i], rows[2 * stride + i]}};
}

}  // namespace
}  // namespace vexkd

vexkd_status vexkd_prepare_images_cpu(const uint8_t* images, const vexkd_image_shape* shape, const float* mean,
                                      const float* deviation, vexkd_dtype dtype, vexkd_layout layout, void* prepared,
                                      int32_t threads) {
  using namespace vexkd;
  const vexkd_status status = check_image_preparation(images, shape, mean, deviation, dtype, layout, prepared);
  if (status != VEXKD_OK) return status;
  const Resize resize = make_resize(*shape);
  const int64_t bands = ceil_divide(shape->height, kRows), row_bytes = int64_t{shape->raw_width} * kChannels;
  const int64_t image_bytes = row_bytes * shape->raw_height, plane = int64_t{shape->height} * shape->width;
  const bool packed = layout == VEXKD_PACKED8;
  const int64_t stored_channels = packed ? kPackedChannels : kChannels;
  prefer_huge_pages(prepared, product({shape->views, stored_channels, plane, static_cast<int64_t>(dtype_size(dtype))}));
  parallel_for(resolve_threads(threads), shape->views * bands, [&](int64_t task) {
    const uint8_t* image = images + task / bands * image_bytes;
    const int64_t first_row = task % bands * kRows, last_row = std::min<int64_t>(first_row + kRows, shape->height);
    for (int64_t first = 0; first < shape->width; first += kColumns) {
      const int64_t n = std::min<int64_t>(kColumns, shape->width - first);
      Stretch stretch;
      for (int64_t i = 0; i < n; ++i) {
        resize.x.locate(first + i, stretch.below + i, stretch.above + i, stretch.weight + i);
        stretch.below[i] *= kChannels;
        stretch.above[i] *= kChannels;
      }
      for (int64_t row = first_row; row < last_row; ++row) {
        int32_t above, below;
        float weight;
        resize.y.locate(row, &above, &below, &weight);
        Half rows[kChannels * kColumns];
        for (int64_t channel = 0; channel < kChannels; ++channel) {
          const uint8_t* upper = image + above * row_bytes + channel;
          const uint8_t* lower = image + below * row_bytes + channel;
          const int64_t to = (task / bands * kChannels + channel) * plane + row * shape->width + first;
          if (dtype == VEXKD_F32) {
            blend_float(upper, lower, weight, stretch, n, mean[channel], deviation[channel],
                        static_cast<float*>(prepared) + to);
          } else {
            blend_half(upper, lower, weight, stretch, n, mean[channel], deviation[channel],
                       packed ? rows + channel * kColumns : static_cast<Half*>(prepared) + to);
          }
        }
        if (packed) {
          const int64_t pixel = task / bands * plane + row * shape->width + first;
          interleave(rows, kColumns, n, static_cast<Pixel*>(prepared) + pixel);
        }
      }
    }
  });
  return VEXKD_OK;
}
