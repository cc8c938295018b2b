// PillarMax by a counting sort and a balanced reduction.
// Count the points of each cell (integer atomics), prefix-sum the counts, group the rows by cell. The order within a
// cell is that of the atomics, but a maximum, and the lowest row that attains it, do not depend on it. Reduce: a block
// owns 32 consecutive cells and a slice of channels. Its threads share the cells' points evenly, however crowded one
// cell is; a worker walks its run of points with the maxima in registers and merges them, cell by cell, into a table in
// shared memory by 64-bit integer maxima over (value, ~row). Every cell is written, empty ones as 0.
#include <cub/block/block_scan.cuh>

#include "cuda_common.cuh"
#include "vexkd/pillar_max.h"

namespace vexkd::device {
namespace {

constexpr int kScanItems = kScanTile / kBlock;
constexpr int kSlice = 64;  // channels of one block
constexpr int kKeyPitch = kSlice + 1;
constexpr int32_t kNoRow = -1;  // below every row, so that only a value above -infinity replaces it
using Scan = cub::BlockScan<int32_t, kBlock>;

__global__ void __launch_bounds__(kBlock) pillar_max_count(const int32_t* __restrict__ cells, int32_t points,
                                                           int32_t cell_count, int32_t* __restrict__ counts) {
  const int64_t row = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (row >= points) return;
  const int32_t cell = cells[row];
  if (cell >= 0 && cell < cell_count) atomicAdd(counts + cell, 1);
}

// One block's tile of the prefix sum; cells beyond the last count 0.
__device__ void load_tile(const int32_t* counts, int32_t cell_count, int64_t first, int32_t (&items)[kScanItems]) {
  for (int i = 0; i < kScanItems; ++i) {
    const int64_t cell = first + i;
    items[i] = cell < cell_count ? counts[cell] : 0;
  }
}

__global__ void __launch_bounds__(kBlock)
    pillar_max_sum_tiles(const int32_t* __restrict__ counts, int32_t cell_count, int32_t* __restrict__ tile_sums) {
  __shared__ typename Scan::TempStorage storage;
  int32_t items[kScanItems], total;
  load_tile(counts, cell_count, int64_t{blockIdx.x} * kScanTile + threadIdx.x * kScanItems, items);
  Scan(storage).ExclusiveSum(items, items, total);
  if (threadIdx.x == 0) tile_sums[blockIdx.x] = total;
}

// One block turns the tiles' sums into their exclusive prefix sums.
__global__ void __launch_bounds__(kBlock) pillar_max_scan_tile_sums(int32_t* tile_sums, int32_t tiles) {
  __shared__ typename Scan::TempStorage storage;
  int32_t carry = 0;
  for (int64_t first = 0; first < tiles; first += kBlock) {
    const int64_t tile = first + threadIdx.x;
    int32_t value = tile < tiles ? tile_sums[tile] : 0, total;
    Scan(storage).ExclusiveSum(value, value, total);
    if (tile < tiles) tile_sums[tile] = carry + value;
    carry += total;
    __syncthreads();
  }
}

__global__ void __launch_bounds__(kBlock)
    pillar_max_write_starts(const int32_t* __restrict__ counts, int32_t cell_count,
                            const int32_t* __restrict__ tile_sums, int32_t* __restrict__ starts) {
  __shared__ typename Scan::TempStorage storage;
  const int64_t first = int64_t{blockIdx.x} * kScanTile + threadIdx.x * kScanItems;
  int32_t items[kScanItems], total;
  load_tile(counts, cell_count, first, items);
  Scan(storage).ExclusiveSum(items, items, total);
  const int32_t before = tile_sums[blockIdx.x];
  for (int i = 0; i < kScanItems; ++i) {
    if (first + i < cell_count) starts[first + i] = before + items[i];
  }
  if (blockIdx.x == gridDim.x - 1 && threadIdx.x == 0) starts[cell_count] = before + total;
}

// Consumes the counts: the k-th of a cell's points to arrive, from the last, takes slot k.
__global__ void __launch_bounds__(kBlock)
    pillar_max_group(const int32_t* __restrict__ cells, int32_t points, int32_t cell_count,
                     const int32_t* __restrict__ starts, int32_t* __restrict__ counts, int32_t* __restrict__ order) {
  const int64_t row = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (row >= points) return;
  const int32_t cell = cells[row];
  if (cell >= 0 && cell < cell_count) {
    order[starts[cell] + atomicSub(counts + cell, 1) - 1] = static_cast<int32_t>(row);
  }
}

// Order-preserving map of floats to positive integers above the low word of a key; 0 stays free for "no point".
__device__ unsigned long long key_of(float value, int32_t row) {
  const uint32_t bits = __float_as_uint(value + 0.0F);  // -0 becomes +0
  const uint32_t ordered = (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
  return (static_cast<unsigned long long>(ordered) << 32) | ~static_cast<uint32_t>(row);
}

__device__ float value_of(unsigned long long key) {
  const auto ordered = static_cast<uint32_t>(key >> 32);
  return key == 0 ? 0.0F : __uint_as_float((ordered & 0x80000000U) != 0 ? ordered & 0x7FFFFFFFU : ~ordered);
}

__device__ int32_t row_of(unsigned long long key) {
  return key == 0 ? -1 : static_cast<int32_t>(~static_cast<uint32_t>(key));
}

struct MapShape {
  int32_t channels, area, tiles;  // area: cells of a sample; tiles: of kTileCells cells per sample
  int64_t packed;                 // channels of a pixel of a packed map, 0 for a planar one
};

template <typename T, int kPack>
__global__ void __launch_bounds__(kBlock)
    pillar_max_reduce(const T* __restrict__ features, const int32_t* __restrict__ starts,
                      const int32_t* __restrict__ order, MapShape shape, T* __restrict__ bev,
                      int32_t* __restrict__ argmax) {
  __shared__ unsigned long long keys[kTileCells * kKeyPitch];  // (cell, channel)
  __shared__ int32_t bounds[kTileCells + 1];
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t sample = blockIdx.x / static_cast<unsigned>(shape.tiles);
  const int32_t first_cell = static_cast<int32_t>(blockIdx.x % static_cast<unsigned>(shape.tiles)) * kTileCells;
  const int tile_cells = min(kTileCells, shape.area - first_cell);
  if (thread <= kTileCells) bounds[thread] = starts[sample * shape.area + first_cell + min(thread, tile_cells)];
  __syncthreads();
  const int32_t begin = bounds[0], end = bounds[kTileCells];

  for (int64_t first = int64_t{blockIdx.y} * kSlice; first < shape.channels; first += int64_t{gridDim.y} * kSlice) {
    const int slice = static_cast<int>(min(int64_t{kSlice}, shape.channels - first));
    if (begin < end) {
      for (int i = thread; i < kTileCells * kKeyPitch; i += kBlock) keys[i] = 0;
    }
    __syncthreads();

    const int lanes = (slice + kPack - 1) / kPack;  // threads that share a point
    const int workers = kBlock / lanes;
    const int worker = thread / lanes, channel = thread % lanes * kPack;
    const int64_t run = (int64_t{end} - begin + workers - 1) / workers;
    const int64_t run_begin = begin + worker * run;
    if (worker < workers && run_begin < end) {
      const int32_t stop = static_cast<int32_t>(min(run_begin + run, int64_t{end}));
      int32_t k = static_cast<int32_t>(run_begin);
      int cell = 0;
      for (int step = kTileCells / 2; step > 0; step /= 2) {
        if (bounds[cell + step] <= k) cell += step;
      }
      while (k < stop) {
        while (bounds[cell + 1] <= k) ++cell;
        const int32_t cell_end = min(stop, bounds[cell + 1]);
        float best[kPack];
        int32_t best_row[kPack];
        for (int i = 0; i < kPack; ++i) {
          best[i] = -INFINITY;
          best_row[i] = kNoRow;
        }
#pragma unroll 4
        for (; k < cell_end; ++k) {
          const int32_t row = order[k];
          const auto pack =
              *reinterpret_cast<const Pack<T, kPack>*>(features + int64_t{row} * shape.channels + first + channel);
          for (int i = 0; i < kPack; ++i) {
            const float value = load(pack.values[i]);
            if (value > best[i] || (value == best[i] && row < best_row[i])) {
              best[i] = value;
              best_row[i] = row;
            }
          }
        }
        for (int i = 0; i < kPack; ++i) {
          if (best_row[i] != kNoRow) atomicMax(keys + cell * kKeyPitch + channel + i, key_of(best[i], best_row[i]));
        }
      }
    }
    __syncthreads();

    const auto key_at = [&](int cell, int of) { return begin < end ? keys[cell * kKeyPitch + of] : 0ULL; };
    if (shape.packed > 0) {
      store_packed(
          tile_cells, slice, [&](int cell, int of) { return value_of(key_at(cell, of)); }, shape.packed,
          bev + (sample * shape.area + first_cell) * shape.packed + first);
    }
    const int lane = thread % kTileCells;
    for (int i = thread / kTileCells; i < slice; i += kBlock / kTileCells) {
      if (lane >= tile_cells) continue;
      const int64_t place = (sample * shape.channels + first + i) * shape.area + first_cell + lane;
      const unsigned long long key = key_at(lane, i);
      if (shape.packed == 0) store(value_of(key), bev + place);
      if (argmax != nullptr) argmax[place] = row_of(key);
    }
    __syncthreads();
  }
}

// Each (row, channel) is the maximum of one cell at most, so no two threads write one gradient.
template <typename T>
__global__ void __launch_bounds__(kBlock)
    pillar_max_scatter(const T* __restrict__ grad_bev, const int32_t* __restrict__ argmax, int32_t points,
                       int64_t planes, int32_t channels, int32_t area, T* __restrict__ grad_features) {
  const int64_t cell = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (cell >= area) return;
  for (int64_t plane = blockIdx.y; plane < planes; plane += gridDim.y) {
    const int32_t row = argmax[plane * area + cell];
    if (row >= 0 && row < points)
      grad_features[int64_t{row} * channels + plane % channels] = grad_bev[plane * area + cell];
  }
}

template <typename T>
void launch_reduce(const void* features, const PillarMaxWorkspace& plan, const MapShape& shape, int32_t batch,
                   void* bev, int32_t* argmax, cudaStream_t stream) {
  const auto* typed = static_cast<const T*>(features);
  const dim3 grid(static_cast<unsigned>(int64_t{batch} * shape.tiles), limited(ceil_divide(shape.channels, kSlice)));
  const bool whole_packs =
      shape.channels % kVector<T> == 0 && reinterpret_cast<uintptr_t>(features) % kVectorBytes == 0;
  const auto kernel = whole_packs ? pillar_max_reduce<T, kVector<T>> : pillar_max_reduce<T, 1>;
  kernel<<<grid, kBlock, 0, stream>>>(typed, plan.starts, plan.order, shape, static_cast<T*>(bev), argmax);
}

}  // namespace
}  // namespace vexkd::device

vexkd_status vexkd_pillar_max_cuda(const void* features, vexkd_dtype dtype, const int32_t* cells, int32_t points,
                                   int32_t channels, int32_t batch, int32_t height, int32_t width, void* bev,
                                   int32_t* argmax, vexkd_layout bev_layout, void* workspace, size_t workspace_size,
                                   void* stream_pointer) {
  using namespace vexkd;
  using namespace vexkd::device;
  VEXKD_TRY(check_pillar_max_sizes(dtype, points, channels, batch, height, width));
  const PillarMaxWorkspace plan = plan_pillar_max(workspace, points, batch, height, width);
  VEXKD_TRY(check_workspace(workspace, workspace_size, plan.size, false));
  VEXKD_TRY(check_pillar_max(features, dtype, cells, points, channels, batch, height, width, bev, argmax, bev_layout,
                             workspace_buffer(workspace, plan.size)));
  if (channels == 0) return VEXKD_OK;

  const auto stream = static_cast<cudaStream_t>(stream_pointer);
  const int32_t area = height * width, cell_count = batch * area;
  const auto tiles = static_cast<unsigned>(ceil_divide(cell_count, kScanTile));
  VEXKD_TRY(done(cudaMemsetAsync(plan.counts, 0, sizeof(int32_t) * static_cast<size_t>(cell_count), stream)));
  if (points > 0) {
    pillar_max_count<<<blocks_for(points), kBlock, 0, stream>>>(cells, points, cell_count, plan.counts);
    VEXKD_TRY(launched());
  }
  pillar_max_sum_tiles<<<tiles, kBlock, 0, stream>>>(plan.counts, cell_count, plan.tile_sums);
  VEXKD_TRY(launched());
  pillar_max_scan_tile_sums<<<1, kBlock, 0, stream>>>(plan.tile_sums, static_cast<int32_t>(tiles));
  VEXKD_TRY(launched());
  pillar_max_write_starts<<<tiles, kBlock, 0, stream>>>(plan.counts, cell_count, plan.tile_sums, plan.starts);
  VEXKD_TRY(launched());
  if (points > 0) {
    pillar_max_group<<<blocks_for(points), kBlock, 0, stream>>>(cells, points, cell_count, plan.starts, plan.counts,
                                                                plan.order);
    VEXKD_TRY(launched());
  }
  const int64_t packed = bev_layout == VEXKD_PACKED8 ? padded_channels(dtype, channels) : 0;
  const MapShape shape{channels, area, static_cast<int32_t>(ceil_divide(area, kTileCells)), packed};
  if (dtype == VEXKD_F16) {
    launch_reduce<__half>(features, plan, shape, batch, bev, argmax, stream);
  } else {
    launch_reduce<float>(features, plan, shape, batch, bev, argmax, stream);
  }
  return launched();
}

vexkd_status vexkd_pillar_max_backward_cuda(const void* grad_bev, vexkd_dtype dtype, const int32_t* argmax,
                                            int32_t points, int32_t channels, int32_t batch, int32_t height,
                                            int32_t width, void* grad_features, void* stream_pointer) {
  using namespace vexkd;
  using namespace vexkd::device;
  VEXKD_TRY(check_pillar_max_backward(grad_bev, dtype, argmax, points, channels, batch, height, width, grad_features));
  if (points == 0 || channels == 0) return VEXKD_OK;

  const auto stream = static_cast<cudaStream_t>(stream_pointer);
  const size_t bytes = product({points, channels, static_cast<int64_t>(dtype_size(dtype))});
  VEXKD_TRY(done(cudaMemsetAsync(grad_features, 0, bytes, stream)));
  const int32_t area = height * width;
  const int64_t planes = int64_t{batch} * channels;
  const dim3 grid(blocks_for(area), limited(planes));
  if (dtype == VEXKD_F16) {
    pillar_max_scatter<<<grid, kBlock, 0, stream>>>(static_cast<const __half*>(grad_bev), argmax, points, planes,
                                                    channels, area, static_cast<__half*>(grad_features));
  } else {
    pillar_max_scatter<<<grid, kBlock, 0, stream>>>(static_cast<const float*>(grad_bev), argmax, points, planes,
                                                    channels, area, static_cast<float*>(grad_features));
  }
  return launched();
}
