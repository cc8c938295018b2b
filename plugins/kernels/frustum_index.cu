// frustum_index by a counting sort in two steps: by bucket, which is a run of 32 to 256 cells, then by cell within each
// bucket. Both steps share out the points in runs of neighbouring indices, one run per warp: every warp counts its run,
// sums over the runs turn the counts into the places of each run's points, and every warp puts its points there in
// order. A warp counts for itself 32 points at a time, so no place depends on the order in which warps run, points of
// one cell stay sorted by index, and points that all lie in one cell cost no more than a longer loop. The number of
// kept points stays on the device.
#include <cub/block/block_scan.cuh>

#include "cuda_common.cuh"
#include "vexkd/frustum_index.h"

namespace vexkd::device {
namespace {

constexpr int kWarp = 32;
constexpr int kWarps = kBlock / kWarp;
constexpr unsigned kWholeWarp = 0xFFFFFFFFU;
constexpr int kAhead = 4;                      // batches of 32 points that a warp loads before it counts the first
constexpr int kColumns = 8;                    // buckets that a block sums over all chunks: one sector of each row
constexpr int kSharers = kBlock / kColumns;    // threads that share a bucket's chunks
static_assert(kFrustumBucketCells <= kBlock);  // a thread per cell of a bucket
static_assert(kFrustumChunk % (kWarp * kAhead) == 0);
using Scan = cub::BlockScan<int32_t, kBlock>;

struct FrustumShape {
  Divider width, height, depths, views;  // views: of one sample
  int32_t points;
  float stride;
};

// By value, so that a launch takes them along from the host's memory.
struct Depths {
  float values[VEXKD_FRUSTUM_CUDA_DEPTHS];
};

struct Grid {
  Axis x, y;
  float z_min, z_max;
  int32_t area, cells;  // cells of a sample, of all
};

struct Buckets {
  int32_t chunk_points, chunks, count;
  int cells_log2;
};

// ((m0 * u + m1 * v) + m2) * d + t, each operation rounded.
__device__ float coordinate(const float* ray, float u, float v, float depth, float origin) {
  const float direction = __fadd_rn(__fadd_rn(__fmul_rn(ray[0], u), __fmul_rn(ray[1], v)), ray[2]);
  return __fadd_rn(__fmul_rn(direction, depth), origin);
}

__device__ float pixel_centre(uint32_t index, float stride) {
  return __fsub_rn(__fmul_rn(__fadd_rn(__uint2float_rn(index), 0.5F), stride), 0.5F);
}

// Cell of a frustum point, -1 outside of the grid.
__device__ int32_t cell_of(uint32_t point, const float* __restrict__ rays, const float* __restrict__ origins,
                           const Depths& depths, const FrustumShape& shape, const Grid& grid) {
  const uint32_t row = shape.width.quotient(point), column = point - row * shape.width.divisor();
  const uint32_t plane = shape.height.quotient(row), line = row - plane * shape.height.divisor();
  const uint32_t view = shape.depths.quotient(plane), bin = plane - view * shape.depths.divisor();
  const float u = pixel_centre(column, shape.stride), v = pixel_centre(line, shape.stride), depth = depths.values[bin];
  const float* const ray = rays + int64_t{view} * 9;
  const float* const origin = origins + int64_t{view} * 3;
  const float x = coordinate(ray, u, v, depth, origin[0]), y = coordinate(ray + 3, u, v, depth, origin[1]);
  const float z = coordinate(ray + 6, u, v, depth, origin[2]);
  const float ix = grid.x.index_of(x), iy = grid.y.index_of(y);
  if (!(grid.x.holds(ix) && grid.y.holds(iy) && z >= grid.z_min && z < grid.z_max)) return -1;
  const auto sample = static_cast<int32_t>(shape.views.quotient(view));
  return sample * grid.area + static_cast<int32_t>(iy) * grid.x.cells + static_cast<int32_t>(ix);
}

// A warp goes through begin .. end - 1 in order: use(load(index), index), in whole warps, -1 loaded beyond the end.
template <typename Load, typename Use>
__device__ void in_batches(int64_t begin, int64_t end, Load load, Use use) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int64_t first = begin; first < end; first += kWarp * kAhead) {
    int32_t keys[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int64_t index = first + i * kWarp + lane;
      keys[i] = index < end ? load(index) : -1;
    }
#pragma unroll
    for (int i = 0; i < kAhead; ++i) use(keys[i], first + i * kWarp + lane);
  }
}

// next[key] as a sequential loop over the warp's lanes would find it, which then counts it up; nothing for key -1.
// `next` belongs to this warp alone.
__device__ int32_t take_place(int32_t* next, int32_t key) {
  const unsigned peers = __match_any_sync(kWholeWarp, key);
  const unsigned before = peers & ((1U << (threadIdx.x % kWarp)) - 1);
  const int32_t first = key >= 0 ? next[key] : 0;
  __syncwarp();
  if (key >= 0 && before == 0) next[key] = first + __popc(peers);
  __syncwarp();
  return first + __popc(before);
}

// Cell of every point, and how many points of each chunk lie in each bucket (chunks, buckets).
__global__ void __launch_bounds__(kBlock)
    locate_and_count_frustum_points(const float* __restrict__ rays, const float* __restrict__ origins,
                                    const __grid_constant__ Depths depths, FrustumShape shape, Grid grid,
                                    Buckets buckets, int32_t* __restrict__ cells, int32_t* counts) {
  const int64_t chunk = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
  if (chunk >= buckets.chunks) return;
  int32_t* const own = counts + chunk * buckets.count;
  for (int64_t i = threadIdx.x % kWarp; i < buckets.count; i += kWarp) own[i] = 0;
  __syncwarp();
  const int64_t begin = chunk * buckets.chunk_points;
  in_batches(
      begin, min(begin + buckets.chunk_points, int64_t{shape.points}),
      [&](int64_t point) {
        const int32_t cell = cell_of(static_cast<uint32_t>(point), rays, origins, depths, shape, grid);
        cells[point] = cell;
        return cell < 0 ? -1 : cell >> buckets.cells_log2;
      },
      [&](int32_t bucket, int64_t) { take_place(own, bucket); });
}

// Turns each bucket's counts into the sums over the chunks before, and writes the sums over all; one more is 0.
__global__ void __launch_bounds__(kBlock)
    sum_bucket_counts_over_chunks(Buckets buckets, int32_t* __restrict__ counts, int32_t* __restrict__ bucket_sizes) {
  __shared__ int32_t sums[kSharers][kColumns];
  const int column = static_cast<int>(threadIdx.x) % kColumns, sharer = static_cast<int>(threadIdx.x) / kColumns;
  const int64_t bucket = int64_t{blockIdx.x} * kColumns + column;
  const int64_t begin = int64_t{buckets.chunks} * sharer / kSharers;
  const int64_t end = bucket < buckets.count ? int64_t{buckets.chunks} * (sharer + 1) / kSharers : begin;
  int32_t sum = 0;
#pragma unroll 8
  for (int64_t chunk = begin; chunk < end; ++chunk) sum += counts[chunk * buckets.count + bucket];
  sums[sharer][column] = sum;
  __syncthreads();
  if (sharer == 0) {
    int32_t total = 0;
    for (int i = 0; i < kSharers; ++i) {
      const int32_t own = sums[i][column];
      sums[i][column] = total;
      total += own;
    }
    if (bucket <= buckets.count) bucket_sizes[bucket] = total;
  }
  __syncthreads();
  int32_t before = sums[sharer][column];
#pragma unroll 8
  for (int64_t chunk = begin; chunk < end; ++chunk) {
    int32_t& count = counts[chunk * buckets.count + bucket];
    const int32_t own = count;
    count = before;
    before += own;
  }
}

// One block turns sizes into starts: `count` exclusive sums.
__global__ void __launch_bounds__(kBlock) turn_bucket_sizes_into_starts(int32_t* sizes, int64_t count) {
  __shared__ typename Scan::TempStorage storage;
  int32_t carry = 0;
  for (int64_t first = 0; first < count; first += kBlock) {
    const int64_t place = first + threadIdx.x;
    int32_t value = place < count ? sizes[place] : 0, total;
    Scan(storage).ExclusiveSum(value, value, total);
    if (place < count) sizes[place] = carry + value;
    carry += total;
    __syncthreads();
  }
}

// Kept points to their buckets, in order, and their cells counted from the bucket's first.
__global__ void __launch_bounds__(kBlock)
    scatter_frustum_points_to_buckets(const int32_t* __restrict__ cells, int32_t points, Buckets buckets,
                                      const int32_t* __restrict__ bucket_starts, int32_t* counts,
                                      int32_t* __restrict__ order, uint8_t* __restrict__ cells_in_bucket) {
  const int64_t chunk = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
  if (chunk >= buckets.chunks) return;
  int32_t* const own = counts + chunk * buckets.count;
  const int64_t begin = chunk * buckets.chunk_points;
  in_batches(
      begin, min(begin + buckets.chunk_points, int64_t{points}), [&](int64_t point) { return cells[point]; },
      [&](int32_t cell, int64_t point) {
        const int32_t bucket = cell < 0 ? -1 : cell >> buckets.cells_log2;
        const int32_t rank = take_place(own, bucket);
        if (bucket < 0) return;
        const int32_t place = bucket_starts[bucket] + rank;
        order[place] = static_cast<int32_t>(point);
        cells_in_bucket[place] = static_cast<uint8_t>(cell - (bucket << buckets.cells_log2));
      });
}

// A block sorts a bucket by cell, writes its cells' starts, and fills its share of the places that are left over.
__global__ void __launch_bounds__(kBlock)
    sort_bucket_by_cell(const int32_t* __restrict__ order, const uint8_t* __restrict__ cells_in_bucket,
                        const int32_t* __restrict__ bucket_starts, Buckets buckets, int32_t cells, int32_t capacity,
                        int32_t* __restrict__ points, int32_t* __restrict__ starts) {
  __shared__ int32_t next[kWarps][kFrustumBucketCells];  // counts of each warp's run, then places
  __shared__ typename Scan::TempStorage storage;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / kWarp;
  const int64_t bucket = blockIdx.x;
  const int32_t begin = bucket_starts[bucket], end = bucket_starts[bucket + 1];
  if (thread < kFrustumBucketCells) {
    for (int i = 0; i < kWarps; ++i) next[i][thread] = 0;
  }
  __syncthreads();

  const int64_t run_begin = begin + (int64_t{end} - begin) * warp / kWarps;
  const int64_t run_end = begin + (int64_t{end} - begin) * (warp + 1) / kWarps;
  const auto load = [&](int64_t place) { return static_cast<int32_t>(cells_in_bucket[place]); };
  in_batches(run_begin, run_end, load, [&](int32_t cell, int64_t) { take_place(next[warp], cell); });
  __syncthreads();

  int32_t place = 0, total;
  if (thread < kFrustumBucketCells) {
    for (int i = 0; i < kWarps; ++i) place += next[i][thread];
  }
  Scan(storage).ExclusiveSum(place, place, total);
  place += begin;
  const int64_t cell = (bucket << buckets.cells_log2) + thread;
  if (thread < 1 << buckets.cells_log2 && cell < cells) starts[cell] = place;
  if (thread == 0 && bucket == buckets.count - 1) starts[cells] = end;
  if (thread < kFrustumBucketCells) {
    for (int i = 0; i < kWarps; ++i) {
      const int32_t own = next[i][thread];
      next[i][thread] = place;
      place += own;
    }
  }
  __syncthreads();

  in_batches(run_begin, run_end, load, [&](int32_t in_bucket, int64_t from) {
    const int32_t to = take_place(next[warp], in_bucket);
    if (in_bucket >= 0) points[to] = order[from];
  });
  const int64_t kept = bucket_starts[buckets.count];
  for (int64_t i = kept + bucket * kBlock + thread; i < capacity; i += int64_t{gridDim.x} * kBlock) points[i] = -1;
}

}  // namespace
}  // namespace vexkd::device

vexkd_status vexkd_frustum_index_cuda(const float* rays, const float* origins, const float* depths,
                                      const vexkd_frustum_shape* shape, const vexkd_grid* grid, int32_t* points,
                                      int32_t* starts, void* workspace, size_t workspace_size, void* stream_pointer) {
  using namespace vexkd;
  using namespace vexkd::device;
  VEXKD_TRY(check_frustum_sizes_on_cuda(shape, grid));
  const FrustumIndexWorkspace plan = plan_frustum_index(workspace, *shape, *grid);
  VEXKD_TRY(check_workspace(workspace, workspace_size, plan.size, false));
  VEXKD_TRY(
      check_frustum_index(rays, origins, depths, shape, grid, points, starts, workspace_buffer(workspace, plan.size)));

  const auto stream = static_cast<cudaStream_t>(stream_pointer);
  const int32_t capacity = shape->views * shape->depths * shape->height * shape->width;
  const int32_t area = grid->height * grid->width, cells = shape->batch * area;
  Depths bins;
  std::copy_n(depths, shape->depths, bins.values);
  const FrustumShape frustum{Divider(static_cast<uint32_t>(shape->width)),
                             Divider(static_cast<uint32_t>(shape->height)),
                             Divider(static_cast<uint32_t>(shape->depths)),
                             Divider(static_cast<uint32_t>(shape->views / shape->batch)),
                             capacity,
                             static_cast<float>(shape->stride)};
  const Grid map{x_axis(*grid), y_axis(*grid), grid->z_min, grid->z_max, area, cells};
  const Buckets buckets{plan.chunk_points, plan.chunks, plan.buckets, plan.bucket_cells_log2};
  const auto chunk_blocks = static_cast<unsigned>(ceil_divide(plan.chunks, kWarps));
  const auto column_blocks = static_cast<unsigned>(ceil_divide(int64_t{plan.buckets} + 1, kColumns));
  locate_and_count_frustum_points<<<chunk_blocks, kBlock, 0, stream>>>(rays, origins, bins, frustum, map, buckets,
                                                                       plan.cells, plan.counts);
  VEXKD_TRY(launched());
  sum_bucket_counts_over_chunks<<<column_blocks, kBlock, 0, stream>>>(buckets, plan.counts, plan.bucket_starts);
  VEXKD_TRY(launched());
  turn_bucket_sizes_into_starts<<<1, kBlock, 0, stream>>>(plan.bucket_starts, int64_t{plan.buckets} + 1);
  VEXKD_TRY(launched());
  scatter_frustum_points_to_buckets<<<chunk_blocks, kBlock, 0, stream>>>(
      plan.cells, capacity, buckets, plan.bucket_starts, plan.counts, plan.order, plan.cells_in_bucket);
  VEXKD_TRY(launched());
  sort_bucket_by_cell<<<static_cast<unsigned>(plan.buckets), kBlock, 0, stream>>>(
      plan.order, plan.cells_in_bucket, plan.bucket_starts, buckets, cells, capacity, points, starts);
  return launched();
}
