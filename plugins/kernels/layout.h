// Between (outer, channels, inner) arrays of any dtype and channels-last binary32, the layout the sums run in.
#ifndef VEXKD_KERNELS_LAYOUT_H
#define VEXKD_KERNELS_LAYOUT_H

#include <cstdint>

#include "cpu.h"

namespace vexkd {

// One vector register's worth; the compiler splits it where registers are narrower.
constexpr int64_t kLanes = 16;
// Positions that are transposed at a time: one cache line of a binary32 output row.
constexpr int64_t kTile = 16;

inline int64_t whole_lanes(int64_t channels) { return (channels + kLanes - 1) / kLanes * kLanes; }

// Transpose (outer, channels, inner) of dtype to (outer, inner, whole_lanes(channels)), padding with 0.
void to_channels_last(const void* from, vexkd_dtype dtype, int64_t outer, int64_t channels, int64_t inner, float* to,
                      int32_t threads);

// Write `n` <= kTile positions of a channels-last tile (n, padded) to columns of a (channels, stride) array of dtype.
void store_tile(const float* tile, int64_t n, int64_t padded, int64_t channels, int64_t stride, vexkd_dtype dtype,
                void* to, int64_t offset);

}  // namespace vexkd

#endif
