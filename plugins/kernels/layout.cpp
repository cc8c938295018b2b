#include "layout.h"

#include <algorithm>

#include "parallel.h"

namespace vexkd {
namespace {

constexpr int64_t kPositions = 64;  // positions of one task
constexpr int64_t kSquare = 4;

using Quad = float __attribute__((vector_size(16), aligned(4)));
using Pick = int32_t __attribute__((vector_size(16)));

VEXKD_INLINE Quad shuffle(Quad a, Quad b, Pick pick) {
#if defined(__clang__)
  Quad result;
  for (int i = 0; i < 4; ++i) result[i] = pick[i] < 4 ? a[pick[i]] : b[pick[i] - 4];
  return result;
#else
  return __builtin_shuffle(a, b, pick);
#endif
}

template <typename T>
VEXKD_INLINE Quad load_quad(const T* from) {
  return Quad{load(from[0]), load(from[1]), load(from[2]), load(from[3])};
}

VEXKD_INLINE void store_quad(Quad value, float* to) { *reinterpret_cast<Quad*>(to) = value; }
VEXKD_INLINE void store_quad(Quad value, Half* to) {
  for (int i = 0; i < 4; ++i) store(value[i], to + i);
}

// to[j * to_stride + i] = from[i * from_stride + j] for i, j < 4.
template <typename From, typename To>
VEXKD_INLINE void transpose_square(const From* from, int64_t from_stride, To* to, int64_t to_stride) {
  const Quad a = load_quad(from), b = load_quad(from + from_stride);
  const Quad c = load_quad(from + 2 * from_stride), d = load_quad(from + 3 * from_stride);
  const Quad ab_low = shuffle(a, b, Pick{0, 4, 1, 5}), ab_high = shuffle(a, b, Pick{2, 6, 3, 7});
  const Quad cd_low = shuffle(c, d, Pick{0, 4, 1, 5}), cd_high = shuffle(c, d, Pick{2, 6, 3, 7});
  store_quad(shuffle(ab_low, cd_low, Pick{0, 1, 4, 5}), to);
  store_quad(shuffle(ab_low, cd_low, Pick{2, 3, 6, 7}), to + to_stride);
  store_quad(shuffle(ab_high, cd_high, Pick{0, 1, 4, 5}), to + 2 * to_stride);
  store_quad(shuffle(ab_high, cd_high, Pick{2, 3, 6, 7}), to + 3 * to_stride);
}

// to (columns, to_stride) = transpose of from (rows, from_stride).
template <typename From, typename To>
VEXKD_INLINE void transpose(const From* from, int64_t rows, int64_t columns, int64_t from_stride, To* to,
                            int64_t to_stride) {
  int64_t i = 0;
  for (; i + kSquare <= rows; i += kSquare) {
    int64_t j = 0;
    for (; j + kSquare <= columns; j += kSquare) {
      transpose_square(from + i * from_stride + j, from_stride, to + j * to_stride + i, to_stride);
    }
    for (; j < columns; ++j) {
      for (int64_t k = i; k < i + kSquare; ++k) store(load(from[k * from_stride + j]), to + j * to_stride + k);
    }
  }
  for (; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) store(load(from[i * from_stride + j]), to + j * to_stride + i);
  }
}

template <typename T>
VEXKD_INLINE void gather(const T* from, int64_t n, int64_t channels, int64_t inner, float* to) {
  const int64_t padded = whole_lanes(channels);
  transpose(from, channels, n, inner, to, padded);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = channels; c < padded; ++c) to[i * padded + c] = 0.0F;
  }
}

VEXKD_CLONES void gather_float(const float* from, int64_t n, int64_t channels, int64_t inner, float* to) {
  gather(from, n, channels, inner, to);
}

VEXKD_CLONES void gather_half(const Half* from, int64_t n, int64_t channels, int64_t inner, float* to) {
  gather(from, n, channels, inner, to);
}

VEXKD_CLONES void scatter_float(const float* tile, int64_t n, int64_t padded, int64_t channels, int64_t stride,
                                float* to) {
  transpose(tile, n, channels, padded, to, stride);
}

VEXKD_CLONES void scatter_half(const float* tile, int64_t n, int64_t padded, int64_t channels, int64_t stride,
                               Half* to) {
  transpose(tile, n, channels, padded, to, stride);
}

}  // namespace

void to_channels_last(const void* from, vexkd_dtype dtype, int64_t outer, int64_t channels, int64_t inner, float* to,
                      int32_t threads) {
  const int64_t blocks = ceil_divide(inner, kPositions), padded = whole_lanes(channels);
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
