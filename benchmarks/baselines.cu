// The published schemes that the CUDA kernels are measured against, written anew for the benchmark; nothing else uses
// them. Their weaknesses are kept: what they clear, read again, serialise or leave to the order of atomics.
#include <cuda_runtime.h>

#include <cstdint>

namespace {

constexpr int kBlock = 256;
constexpr int32_t kEmpty = -1;

unsigned blocks_for(int64_t threads) { return static_cast<unsigned>((threads + kBlock - 1) / kBlock); }

// bev_pool_v2's scheme: a thread per (interval, channel) walks the whole interval and reads the point's three indices
// itself; context and output are channels-last; cells without an interval keep what the memory held.
__global__ void pool_intervals(const float* __restrict__ depth, const float* __restrict__ context,
                               const int32_t* __restrict__ depth_ranks, const int32_t* __restrict__ context_ranks,
                               const int32_t* __restrict__ cell_ranks, const int32_t* __restrict__ starts,
                               const int32_t* __restrict__ lengths, int32_t intervals, int32_t channels,
                               float* __restrict__ bev) {
  const int64_t place = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  const int64_t interval = place / channels;
  const auto channel = static_cast<int32_t>(place % channels);
  if (interval >= intervals) return;
  const int32_t start = starts[interval], length = lengths[interval];
  float sum = 0;
  for (int32_t i = start; i < start + length; ++i) {
    sum += depth[depth_ranks[i]] * context[int64_t{context_ranks[i]} * channels + channel];
  }
  bev[int64_t{cell_ranks[start]} * channels + channel] = sum;
}

struct Pillars {
  float x_min, y_min, z_min, x_max, y_max, z_max, cell_x, cell_y;
  int32_t width;
};

__device__ int32_t cell_of(const float* point, const Pillars& grid) {
  const bool inside = point[0] >= grid.x_min && point[0] < grid.x_max && point[1] >= grid.y_min &&
                      point[1] < grid.y_max && point[2] >= grid.z_min && point[2] < grid.z_max;
  if (!inside) return kEmpty;
  return static_cast<int32_t>((point[1] - grid.y_min) / grid.cell_y) * grid.width +
         static_cast<int32_t>((point[0] - grid.x_min) / grid.cell_x);
}

// Open addressing with linear probing: who writes the key takes the next voxel, in the order of the atomics.
__global__ void insert(const float* __restrict__ points, int32_t count, Pillars grid, int32_t mask, int32_t* keys,
                       int32_t* slots, int32_t* used) {
  const int64_t row = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (row >= count) return;
  const int32_t cell = cell_of(points + row * 5, grid);
  if (cell == kEmpty) return;
  for (uint32_t at = static_cast<uint32_t>(cell) * 2654435761U;; ++at) {
    int32_t* const key = keys + (at & static_cast<uint32_t>(mask));
    const int32_t before = atomicCAS(key, kEmpty, cell);
    if (before == kEmpty) slots[key - keys] = atomicAdd(used, 1);
    if (before == kEmpty || before == cell) return;
  }
}

// Points beyond a voxel's capacity are lost, and which those are depends on the order of the atomics.
__global__ void fill(const float* __restrict__ points, int32_t count, Pillars grid, int32_t mask,
                     const int32_t* __restrict__ keys, const int32_t* __restrict__ slots, int32_t voxels,
                     int32_t capacity, int32_t* counts, int32_t* voxel_cells, float* __restrict__ voxel_points) {
  const int64_t row = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (row >= count) return;
  const float* const point = points + row * 5;
  const int32_t cell = cell_of(point, grid);
  if (cell == kEmpty) return;
  uint32_t at = static_cast<uint32_t>(cell) * 2654435761U;
  while (keys[at & static_cast<uint32_t>(mask)] != cell) ++at;
  const int32_t slot = slots[at & static_cast<uint32_t>(mask)];
  if (slot >= voxels) return;
  voxel_cells[slot] = cell;
  const int32_t place = atomicAdd(counts + slot, 1);
  if (place >= capacity) return;
  float* const to = voxel_points + (int64_t{slot} * capacity + place) * 5;
  for (int i = 0; i < 5; ++i) to[i] = point[i];
}

__global__ void average(const float* __restrict__ voxel_points, const int32_t* __restrict__ used, int32_t voxels,
                        int32_t capacity, int32_t* __restrict__ counts, float* __restrict__ means) {
  const int64_t place = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  const int64_t voxel = place / 5;
  if (voxel >= voxels || voxel >= *used) return;
  const int32_t n = counts[voxel] < capacity ? counts[voxel] : capacity;
  float sum = 0;
  for (int32_t i = 0; i < n; ++i) sum += voxel_points[(voxel * capacity + i) * 5 + place % 5];
  means[place] = sum / static_cast<float>(n);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int baseline_bev_pool(
    const float* depth, const float* context, const int32_t* depth_ranks, const int32_t* context_ranks,
    const int32_t* cell_ranks, const int32_t* starts, const int32_t* lengths, int32_t intervals, int32_t channels,
    int32_t cells, float* bev, void* stream_pointer) {
  const auto stream = static_cast<cudaStream_t>(stream_pointer);
  cudaMemsetAsync(bev, 0, sizeof(float) * static_cast<size_t>(cells) * static_cast<size_t>(channels), stream);
  pool_intervals<<<blocks_for(int64_t{intervals} * channels), kBlock, 0, stream>>>(
      depth, context, depth_ranks, context_ranks, cell_ranks, starts, lengths, intervals, channels, bev);
  return cudaGetLastError() == cudaSuccess ? 0 : 1;
}

// range: x_min, y_min, z_min, x_max, y_max, z_max, cell_x, cell_y in host memory. table: 2 * size entries, size a power
// of two above the number of points. counts: voxels + 1, the last entry ends as the number of voxels in use.
extern "C" __attribute__((visibility("default"))) int baseline_voxelize(
    const float* points, int32_t count, const float* range, int32_t width, int32_t* table, int32_t size, int32_t voxels,
    int32_t capacity, int32_t* counts, int32_t* voxel_cells, float* voxel_points, float* means, void* stream_pointer) {
  const auto stream = static_cast<cudaStream_t>(stream_pointer);
  const Pillars grid{range[0], range[1], range[2], range[3], range[4], range[5], range[6], range[7], width};
  int32_t* const used = counts + voxels;
  cudaMemsetAsync(table, 0xFF, sizeof(int32_t) * static_cast<size_t>(size), stream);
  cudaMemsetAsync(counts, 0, sizeof(int32_t) * (static_cast<size_t>(voxels) + 1), stream);
  insert<<<blocks_for(count), kBlock, 0, stream>>>(points, count, grid, size - 1, table, table + size, used);
  fill<<<blocks_for(count), kBlock, 0, stream>>>(points, count, grid, size - 1, table, table + size, voxels, capacity,
                                                 counts, voxel_cells, voxel_points);
  average<<<blocks_for(int64_t{voxels} * 5), kBlock, 0, stream>>>(voxel_points, used, voxels, capacity, counts, means);
  return cudaGetLastError() == cudaSuccess ? 0 : 1;
}
