// BevPool: context is first copied to channels-last rows (small, it stays in the L2 cache), then gathered by 16-byte
// loads. A block owns 32 consecutive cells and a slice of channels. Its workers share the list entries of these cells
// evenly, so a crowded cell is split into runs. A run's sum is kept in registers and belongs either to a cell that
// starts in the run (only this worker starts it) or to the one cell that began in an earlier run: those heads are added
// in the order of the runs. The order of additions depends on `starts` alone, so the bits are the same every time.
// The launch before finds out whether the row starts are a table at all; if not, every cell is empty.
// Every cell is written. Sums are FP32 with fused multiply-add; in a cell that is not split, in the order of the list.
#include "cuda_common.cuh"
#include "vexkd/bev_pool.h"

namespace vexkd::device {
namespace {

constexpr int kSlice = 128;  // channels of one block
constexpr int kSumPitch = kTileCells + 1;
constexpr int kBatch = 4;  // gathers in flight per thread
constexpr int kTransposeTile = 32;
constexpr int kPixels = 8;  // pixels of one block in the gradient of context

// The list of frustum points by cell, and how it is found to be none (bev_pool.h).
struct PointList {
  const int32_t* points;
  const int32_t* starts;
  int32_t* falls;  // (checkers) of the workspace
  int64_t cells;   // of the whole batch
  int32_t entries, checkers;

  __device__ int32_t start(int64_t cell) const { return min(max(starts[cell], 0), entries); }

  // One block looks whether the starts fall anywhere in its stretch of cells.
  __device__ void check(int64_t checker) const {
    const int64_t stretch = (cells + checkers - 1) / checkers;
    const int64_t end = min((checker + 1) * stretch, cells);
    int fall = 0;
    for (int64_t cell = checker * stretch + threadIdx.x; cell < end; cell += kBlock) {
      if (start(cell + 1) < start(cell)) fall = 1;
    }
    fall = __syncthreads_or(fall);
    if (threadIdx.x == 0) falls[checker] = fall;
  }

  // Every thread of a block of a later launch: true if the starts fall nowhere.
  __device__ bool is_table() const {
    const int thread = static_cast<int>(threadIdx.x);
    return __syncthreads_or(thread < checkers ? falls[thread] : 0) == 0;
  }

  // First entry of a cell's run and how many.
  __device__ int2 entries_of(int64_t cell) const { return make_int2(start(cell), start(cell + 1) - start(cell)); }
};

// (planes, channels, area) to (planes, area, padded channels), the padding 0. Tiles of 32 x 32 through shared memory.
// The first blocks check the list instead.
template <typename T>
__global__ void __launch_bounds__(kBlock)
    bev_pool_channels_last(const T* __restrict__ from, int32_t channels, int32_t area, int32_t tiles, int64_t padded,
                           PointList list, T* __restrict__ to) {
  __shared__ T tile[kTransposeTile][kTransposeTile + 1];
  if (blockIdx.x < static_cast<unsigned>(list.checkers)) {
    if (blockIdx.y == 0) list.check(blockIdx.x);
    return;
  }
  const unsigned block = blockIdx.x - static_cast<unsigned>(list.checkers);
  const int lane = static_cast<int>(threadIdx.x) % kTransposeTile;
  const int line = static_cast<int>(threadIdx.x) / kTransposeTile;
  constexpr int kLines = kBlock / kTransposeTile;
  const int64_t plane = block / static_cast<unsigned>(tiles);
  const int64_t first = int64_t{block % static_cast<unsigned>(tiles)} * kTransposeTile;
  const int64_t step = int64_t{gridDim.y} * kTransposeTile;
  for (int64_t channel = int64_t{blockIdx.y} * kTransposeTile; channel < padded; channel += step) {
    for (int i = line; i < kTransposeTile; i += kLines) {
      const bool inside = channel + i < channels && first + lane < area;
      const int64_t source = (plane * channels + channel + i) * area + first + lane;
      tile[i][lane] = inside ? from[source] : T(0.0F);
    }
    __syncthreads();
    for (int i = line; i < kTransposeTile; i += kLines) {
      if (first + i < area && channel + lane < padded) {
        to[(plane * area + first + i) * padded + channel + lane] = tile[lane][i];
      }
    }
    __syncthreads();
  }
}

template <typename T>
vexkd_status launch_channels_last(const void* from, int32_t planes, int32_t channels, int32_t area, int64_t padded,
                                  const PointList& checked, void* to, cudaStream_t stream) {
  const int64_t tiles = ceil_divide(area, kTransposeTile);
  const dim3 grid(static_cast<unsigned>(checked.checkers + planes * tiles),
                  limited(ceil_divide(padded, kTransposeTile)));
  bev_pool_channels_last<<<grid, kBlock, 0, stream>>>(
      static_cast<const T*>(from), channels, area, static_cast<int32_t>(tiles), padded, checked, static_cast<T*>(to));
  return launched();
}

struct PoolShape {
  Divider pixels, depths;  // pixels of a view's feature map, depth bins
  int32_t frustum;         // frustum points of all views
  int32_t channels;
  int64_t padded;  // channels of a channels-last row
  int32_t area;    // cells of a sample
  int32_t tiles;   // of kTileCells cells per sample
  bool packed;     // the map, in VEXKD_PACKED8

  // Row of the channels-last context that a frustum point looks at.
  __device__ int64_t pixel_of(uint32_t point) const {
    const uint32_t bin = pixels.quotient(point);
    return int64_t{depths.quotient(bin)} * pixels.divisor() + (point - bin * pixels.divisor());
  }
};

template <typename T>
__device__ Pack<T, kVector<T>> load_pack(const T* from) {
  return *reinterpret_cast<const Pack<T, kVector<T>>*>(from);
}

// sums += depth * context over n entries of the list, in order. Loads come first and without branches,
// kBatch gathers at a time: what lies beyond the run or is no frustum point is read from a valid place and left out of
// the sum.
template <typename T>
__device__ void gather(const T* __restrict__ depth, const T* __restrict__ context, const PoolShape& shape,
                       int64_t channel, const int32_t* __restrict__ entries, int32_t n, float (&sums)[kVector<T>]) {
  for (; n > 0; n -= kBatch, entries += kBatch) {
    Pack<T, kVector<T>> packs[kBatch];
    float weights[kBatch];
    int32_t listed[kBatch];
    bool valid[kBatch];
#pragma unroll
    for (int u = 0; u < kBatch; ++u) listed[u] = entries[min(u, n - 1)];
#pragma unroll
    for (int u = 0; u < kBatch; ++u) {
      valid[u] = u < n && listed[u] >= 0 && listed[u] < shape.frustum;
      const int32_t point = valid[u] ? listed[u] : 0;
      weights[u] = load(depth[point]);
      packs[u] = load_pack(context + shape.pixel_of(static_cast<uint32_t>(point)) * shape.padded + channel);
    }
#pragma unroll
    for (int u = 0; u < kBatch; ++u) {
#pragma unroll
      for (int i = 0; i < kVector<T>; ++i) {
        if (valid[u]) sums[i] = fmaf(weights[u], load(packs[u].values[i]), sums[i]);
      }
    }
  }
}

template <typename T>
__global__ void __launch_bounds__(kBlock) bev_pool_sum(const T* __restrict__ depth, const T* __restrict__ context,
                                                       PointList list, PoolShape shape, T* __restrict__ bev) {
  constexpr int kPack = kVector<T>;
  __shared__ float sums_of[kSlice * kSumPitch];  // (channel, cell): written out with a warp's lanes on the cells
  __shared__ float heads[kBlock * kPack];        // per worker: its part of a cell that began in an earlier run
  __shared__ int32_t head_cells[kBlock];         // that cell, -1 for none
  __shared__ int32_t bounds[kTileCells + 1];     // row starts of the tile's cells, and the end

  const int thread = static_cast<int>(threadIdx.x);
  const int64_t sample = blockIdx.x / static_cast<unsigned>(shape.tiles);
  const int32_t first_cell = static_cast<int32_t>(blockIdx.x % static_cast<unsigned>(shape.tiles)) * kTileCells;
  const int tile_cells = min(kTileCells, shape.area - first_cell);
  if (list.is_table()) {
    if (thread <= kTileCells) {
      bounds[thread] = list.start(sample * shape.area + first_cell + min(thread, tile_cells));
    }
  } else if (thread <= kTileCells) {
    bounds[thread] = 0;
  }
  __syncthreads();
  const int64_t total = bounds[kTileCells] - bounds[0];

  for (int64_t first = int64_t{blockIdx.y} * kSlice; first < shape.channels; first += int64_t{gridDim.y} * kSlice) {
    const int slice = static_cast<int>(min(int64_t{kSlice}, shape.channels - first));
    const int lanes = (slice + kPack - 1) / kPack;  // threads that share a run
    const int workers = kBlock / lanes;
    const int worker = thread / lanes, channel = thread % lanes * kPack;
    for (int i = thread; i < slice * kSumPitch; i += kBlock) sums_of[i] = 0.0F;
    head_cells[thread] = -1;
    __syncthreads();

    const int64_t run = max((total + workers - 1) / workers, int64_t{kBatch});
    const int64_t begin = bounds[0] + worker * run, end = min(begin + run, int64_t{bounds[kTileCells]});
    if (worker < workers && begin < end) {
      int cell = 0;
      for (int step = kTileCells / 2; step > 0; step /= 2) {
        if (bounds[cell + step] <= begin) cell += step;
      }
      for (int64_t place = begin; place < end; place = bounds[cell]) {
        while (bounds[cell + 1] <= place) ++cell;
        const int64_t skipped = place - bounds[cell];
        const auto n = static_cast<int32_t>(min(end, int64_t{bounds[cell + 1]}) - place);
        float sums[kPack] = {};
        gather(depth, context, shape, first + channel, list.points + place, n, sums);
        if (skipped > 0) {
          for (int i = 0; i < kPack; ++i) heads[thread * kPack + i] = sums[i];
          if (channel == 0) head_cells[worker] = cell;
        } else {
          for (int i = 0; i < kPack && channel + i < slice; ++i) sums_of[(channel + i) * kSumPitch + cell] = sums[i];
        }
        ++cell;
      }
    }
    __syncthreads();
    if (thread < slice) {
      for (int w = 1; w < workers; ++w) {
        const int cell = head_cells[w];
        if (cell >= 0) sums_of[thread * kSumPitch + cell] += heads[w * lanes * kPack + thread];
      }
    }
    __syncthreads();

    if (shape.packed) {
      store_packed(
          tile_cells, slice, [&](int cell, int of) { return sums_of[of * kSumPitch + cell]; }, shape.padded,
          bev + (sample * shape.area + first_cell) * shape.padded + first);
    }
    const int lane = thread % kTileCells;
    for (int i = thread / kTileCells; i < slice && !shape.packed; i += kBlock / kTileCells) {
      if (lane >= tile_cells) continue;
      store(sums_of[i * kSumPitch + lane],
            bev + (sample * shape.channels + first + i) * shape.area + first_cell + lane);
    }
    __syncthreads();
  }
}

// A warp per cell. Should a frustum point be listed twice, the last cell has it, whatever the order of the warps.
__global__ void __launch_bounds__(kBlock)
    bev_pool_mark_cells(PointList list, int32_t frustum, int32_t* __restrict__ cells) {
  const int64_t cell = (int64_t{blockIdx.x} * kBlock + threadIdx.x) / 32;
  if (!list.is_table() || cell >= list.cells) return;
  const int2 range = list.entries_of(cell);
  for (int64_t i = threadIdx.x % 32; i < range.y; i += 32) {
    const int32_t point = list.points[range.x + i];
    if (point >= 0 && point < frustum) atomicMax(cells + point, static_cast<int32_t>(cell));
  }
}

// 2^log_lanes threads per frustum point, at most a warp; the channels' sums meet in a fixed tree.
template <typename T>
__global__ void __launch_bounds__(kBlock)
    bev_pool_depth_gradient(const T* __restrict__ grad_bev, const T* __restrict__ context,
                            const int32_t* __restrict__ cells, PoolShape shape, int log_lanes,
                            T* __restrict__ grad_depth) {
  constexpr int kPack = kVector<T>;
  const int lanes = 1 << log_lanes;
  const int64_t point = (int64_t{blockIdx.x} * kBlock + threadIdx.x) >> log_lanes;
  const int lane = static_cast<int>(threadIdx.x) & (lanes - 1);
  const int32_t cell = point < shape.frustum ? cells[point] : -1;
  float sum = 0.0F;
  if (cell >= 0) {
    const T* const gradient = grad_bev + int64_t{cell} * shape.padded;
    const T* const pixel = context + shape.pixel_of(static_cast<uint32_t>(point)) * shape.padded;
    for (int64_t channel = int64_t{lane} * kPack; channel < shape.padded; channel += int64_t{lanes} * kPack) {
      const auto g = load_pack(gradient + channel), c = load_pack(pixel + channel);
      for (int i = 0; i < kPack; ++i) sum = fmaf(load(g.values[i]), load(c.values[i]), sum);
    }
  }
  for (int step = lanes / 2; step > 0; step /= 2) sum += __shfl_xor_sync(0xFFFFFFFFU, sum, step);
  if (point < shape.frustum && lane == 0) store(sum, grad_depth + point);
}

// A block owns kPixels consecutive pixels of a view and a slice of channels; a worker walks a pixel's depth bins in
// order.
template <typename T>
__global__ void __launch_bounds__(kBlock)
    bev_pool_context_gradient(const T* __restrict__ grad_bev, const T* __restrict__ depth,
                              const int32_t* __restrict__ cells, PoolShape shape, int32_t tiles,
                              T* __restrict__ grad_context) {
  constexpr int kPack = kVector<T>;
  __shared__ float sums_of[kSlice][kPixels + 1];
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t view = blockIdx.x / static_cast<unsigned>(tiles);
  const int64_t area = shape.pixels.divisor(), bins = shape.depths.divisor();
  const int64_t first_pixel = int64_t{blockIdx.x % static_cast<unsigned>(tiles)} * kPixels;
  const int tile_pixels = static_cast<int>(min(int64_t{kPixels}, area - first_pixel));
  for (int64_t first = int64_t{blockIdx.y} * kSlice; first < shape.channels; first += int64_t{gridDim.y} * kSlice) {
    const int slice = static_cast<int>(min(int64_t{kSlice}, shape.channels - first));
    const int lanes = (slice + kPack - 1) / kPack;
    const int workers = kBlock / lanes;
    const int worker = thread / lanes, channel = thread % lanes * kPack;
    for (int pixel = worker; worker < workers && pixel < tile_pixels; pixel += workers) {
      float sums[kPack] = {};
#pragma unroll 4
      for (int64_t bin = 0; bin < bins; ++bin) {
        const int64_t point = (view * bins + bin) * area + first_pixel + pixel;
        const int32_t cell = cells[point];
        if (cell < 0) continue;
        const float weight = load(depth[point]);
        const auto g = load_pack(grad_bev + int64_t{cell} * shape.padded + first + channel);
        for (int i = 0; i < kPack; ++i) sums[i] = fmaf(weight, load(g.values[i]), sums[i]);
      }
      for (int i = 0; i < kPack; ++i) {
        if (channel + i < slice) sums_of[channel + i][pixel] = sums[i];
      }
    }
    __syncthreads();
    for (int i = thread; i < slice * kPixels; i += kBlock) {
      const int pixel = i % kPixels;
      if (pixel >= tile_pixels) continue;
      const int64_t place = (view * shape.channels + first + i / kPixels) * area + first_pixel + pixel;
      store(sums_of[i / kPixels][pixel], grad_context + place);
    }
    __syncthreads();
  }
}

PoolShape pool_shape(const vexkd_bev_pool_shape& shape, vexkd_dtype dtype, vexkd_layout bev_layout) {
  const int32_t pixels = shape.feature_height * shape.feature_width, area = shape.height * shape.width;
  return {Divider(static_cast<uint32_t>(pixels)),
          Divider(static_cast<uint32_t>(shape.depths)),
          shape.views * shape.depths * pixels,
          shape.channels,
          padded_channels(dtype, shape.channels),
          area,
          static_cast<int32_t>(ceil_divide(area, kTileCells)),
          bev_layout == VEXKD_PACKED8};
}

PointList point_list(const int32_t* points, const int32_t* starts, const vexkd_bev_pool_shape& shape, int32_t* falls) {
  const int64_t cells = int64_t{shape.batch} * shape.height * shape.width;
  const auto checkers = static_cast<int32_t>(std::min<int64_t>(ceil_divide(cells, kBlock), kCheckers));
  return {points, starts, falls, cells, shape.points, checkers};
}

// A packed context has the rows that are wanted already, padded to whole vectors: then only the list is checked.
template <typename T>
vexkd_status forward(const void* depth, const void* context, const PointList& list, const vexkd_bev_pool_shape& sizes,
                     const PoolShape& shape, bool packed, void* rows, void* bev, cudaStream_t stream) {
  const auto pixels = static_cast<int32_t>(sizes.feature_height * sizes.feature_width);
  const int32_t planes = packed ? 0 : sizes.views;
  VEXKD_TRY(launch_channels_last<T>(context, planes, sizes.channels, pixels, shape.padded, list, rows, stream));
  const dim3 grid(static_cast<unsigned>(int64_t{sizes.batch} * shape.tiles),
                  limited(ceil_divide(sizes.channels, kSlice)));
  bev_pool_sum<<<grid, kBlock, 0, stream>>>(
      static_cast<const T*>(depth), static_cast<const T*>(packed ? context : rows), list, shape, static_cast<T*>(bev));
  return launched();
}

template <typename T>
vexkd_status backward(const void* grad_bev, const void* depth, const void* context, const PointList& list,
                      const vexkd_bev_pool_shape& sizes, const PoolShape& shape, const BevPoolBackwardWorkspace& plan,
                      void* grad_depth, void* grad_context, cudaStream_t stream) {
  const auto pixels = static_cast<int32_t>(sizes.feature_height * sizes.feature_width);
  VEXKD_TRY(launch_channels_last<T>(grad_bev, sizes.batch, sizes.channels, shape.area, shape.padded, list,
                                    plan.grad_bev, stream));
  bev_pool_mark_cells<<<blocks_for(list.cells * 32), kBlock, 0, stream>>>(list, shape.frustum, plan.cells);
  VEXKD_TRY(launched());
  const auto* const gradient = static_cast<const T*>(plan.grad_bev);
  if (grad_depth != nullptr) {
    VEXKD_TRY(
        launch_channels_last<T>(context, sizes.views, sizes.channels, pixels, shape.padded, {}, plan.context, stream));
    int log_lanes = 0;
    while (log_lanes < 5 && (int64_t{kVector<T>} << log_lanes) < shape.padded) ++log_lanes;
    bev_pool_depth_gradient<<<blocks_for(int64_t{shape.frustum} << log_lanes), kBlock, 0, stream>>>(
        gradient, static_cast<const T*>(plan.context), plan.cells, shape, log_lanes, static_cast<T*>(grad_depth));
    VEXKD_TRY(launched());
  }
  if (grad_context != nullptr) {
    const int64_t tiles = ceil_divide(pixels, kPixels);
    const dim3 grid(static_cast<unsigned>(sizes.views * tiles), limited(ceil_divide(sizes.channels, kSlice)));
    bev_pool_context_gradient<<<grid, kBlock, 0, stream>>>(gradient, static_cast<const T*>(depth), plan.cells, shape,
                                                           static_cast<int32_t>(tiles), static_cast<T*>(grad_context));
    VEXKD_TRY(launched());
  }
  return VEXKD_OK;
}

}  // namespace
}  // namespace vexkd::device

vexkd_status vexkd_bev_pool_cuda(const void* depth, const void* context, vexkd_dtype dtype, const int32_t* points,
                                 const int32_t* starts, const vexkd_bev_pool_shape* shape, void* bev,
                                 vexkd_layout context_layout, vexkd_layout bev_layout, void* workspace,
                                 size_t workspace_size, void* stream_pointer) {
  using namespace vexkd;
  using namespace vexkd::device;
  VEXKD_TRY(check_bev_pool_shape(dtype, shape));
  const BevPoolWorkspace plan = plan_bev_pool(workspace, dtype, *shape);
  VEXKD_TRY(check_workspace(workspace, workspace_size, plan.size, false));
  VEXKD_TRY(check_bev_pool(depth, context, dtype, points, starts, shape, bev, context_layout, bev_layout,
                           workspace_buffer(workspace, plan.size)));
  if (shape->channels == 0) return VEXKD_OK;

  const auto stream = static_cast<cudaStream_t>(stream_pointer);
  const PoolShape sizes = pool_shape(*shape, dtype, bev_layout);
  const PointList list = point_list(points, starts, *shape, plan.falls);
  const bool packed = context_layout == VEXKD_PACKED8;
  const auto run = dtype == VEXKD_F16 ? forward<__half> : forward<float>;
  return run(depth, context, list, *shape, sizes, packed, plan.context, bev, stream);
}

vexkd_status vexkd_bev_pool_backward_cuda(const void* grad_bev, const void* depth, const void* context,
                                          vexkd_dtype dtype, const int32_t* points, const int32_t* starts,
                                          const vexkd_bev_pool_shape* shape, void* grad_depth, void* grad_context,
                                          void* workspace, size_t workspace_size, void* stream_pointer) {
  using namespace vexkd;
  using namespace vexkd::device;
  VEXKD_TRY(check_bev_pool_shape(dtype, shape));
  const BevPoolBackwardWorkspace plan = plan_bev_pool_backward(workspace, dtype, *shape);
  VEXKD_TRY(check_workspace(workspace, workspace_size, plan.size, false));
  VEXKD_TRY(check_bev_pool_backward(grad_bev, depth, context, dtype, points, starts, shape, grad_depth, grad_context,
                                    workspace_buffer(workspace, plan.size)));

  const auto stream = static_cast<cudaStream_t>(stream_pointer);
  const PoolShape sizes = pool_shape(*shape, dtype, VEXKD_PLANAR);
  const auto frustum = static_cast<size_t>(sizes.frustum);
  if (shape->channels == 0) {  // grad_context has no elements, grad_depth is an empty sum
    if (grad_depth == nullptr) return VEXKD_OK;
    return done(cudaMemsetAsync(grad_depth, 0, frustum * dtype_size(dtype), stream));
  }
  VEXKD_TRY(done(cudaMemsetAsync(plan.cells, 0xFF, frustum * sizeof(int32_t), stream)));  // -1: no cell
  const PointList list = point_list(points, starts, *shape, plan.falls);
  const auto run = dtype == VEXKD_F16 ? backward<__half> : backward<float>;
  return run(grad_bev, depth, context, list, *shape, sizes, plan, grad_depth, grad_context, stream);
}
