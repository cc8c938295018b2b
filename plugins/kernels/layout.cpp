#include "layout.h"

#include <algorithm>

#include "parallel.h"

namespace vexkd {
namespace {

constexpr int64_t kPositions = 64;  // positions of one task

template <typename T>
VEXKD_INLINE void gather(const T* from, int64_t n, int64_t channels, int64_t inner, float* to) {
  const int64_t padded = padded_channels(channels);
  for (int64_t c = 0; c < padded; ++c) {
    for (int64_t i = 0; i < n; ++i) to[i * padded + c] = c < channels ? load(from[c * inner + i]) : 0.0F;
  }
}

VEXKD_CLONES void gather_float(const float* from, int64_t n, int64_t channels, int64_t inner, float* to) {
  gather(from, n, channels, inner, to);
}

VEXKD_CLONES void gather_half(const Half* from, int64_t n, int64_t channels, int64_t inner, float* to) {
  gather(from, n, channels, inner, to);
}

template <typename T>
VEXKD_INLINE void scatter(const float* tile, int64_t n, int64_t padded, int64_t channels, int64_t stride, T* to) {
  if (n == kTile) {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t i = 0; i < kTile; ++i) store(tile[i * padded + c], to + c * stride + i);
    }
    return;
  }
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t i = 0; i < n; ++i) store(tile[i * padded + c], to + c * stride + i);
  }
}

VEXKD_CLONES void scatter_float(const float* tile, int64_t n, int64_t padded, int64_t channels, int64_t stride,
                                float* to) {
  scatter(tile, n, padded, channels, stride, to);
}

VEXKD_CLONES void scatter_half(const float* tile, int64_t n, int64_t padded, int64_t channels, int64_t stride,
                               Half* to) {
  scatter(tile, n, padded, channels, stride, to);
}

}  // namespace

void to_channels_last(const void* from, vexkd_dtype dtype, int64_t outer, int64_t channels, int64_t inner, float* to,
                      int32_t threads) {
  const int64_t blocks = ceil_divide(inner, kPositions), padded = padded_channels(channels);
  parallel_for(threads, outer * blocks, [&](int64_t task) {
    const int64_t plane = task / blocks, start = task % blocks * kPositions;
    const int64_t n = std::min(kPositions, inner - start), first = plane * channels * inner + start;
    float* block = to + (plane * inner + start) * padded;
    if (dtype == VEXKD_F32) {
      gather_float(static_cast<const float*>(from) + first, n, channels, inner, block);
    } else {
      gather_half(static_cast<const Half*>(from) + first, n, channels, inner, block);
    }
  });
}

void store_tile(const float* tile, int64_t n, int64_t padded, int64_t channels, int64_t stride, vexkd_dtype dtype,
                void* to, int64_t offset) {
  if (dtype == VEXKD_F32) {
    scatter_float(tile, n, padded, channels, stride, static_cast<float*>(to) + offset);
  } else {
    scatter_half(tile, n, padded, channels, stride, static_cast<Half*>(to) + offset);
  }
}

}  // namespace vexkd
