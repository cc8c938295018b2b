#include "vexkd/bev_pool.h"

#include <algorithm>

#include "checks.h"
#include "cpu.h"
#include "layout.h"
#include "memory.h"
#include "parallel.h"

// Forward: every task owns kTile cells, walks their points in order and sums into channels-last registers.
// Backward: every task owns kTile pixels and walks their depth bins, so that no two tasks write the same gradient.
namespace vexkd {
namespace {

using Lanes = float __attribute__((vector_size(kLanes * sizeof(float)), aligned(4)));

constexpr int64_t kListed = 256;       // points decoded at a time
constexpr int64_t kMaxChannels = 512;  // channels of a tile on the stack; more go through in rounds

VEXKD_INLINE const Lanes& lanes(const float* from) { return *reinterpret_cast<const Lanes*>(from); }
VEXKD_INLINE Lanes& lanes(float* from) { return *reinterpret_cast<Lanes*>(from); }

// sums[0 .. 16 * Vectors) += weight * row over a list of rows, in order.
template <int Vectors>
VEXKD_INLINE void add_rows(const float* context, const int64_t* rows, const float* weights, int64_t n, float* sums) {
  Lanes sum[Vectors];
  for (int k = 0; k < Vectors; ++k) sum[k] = lanes(sums + k * kLanes);
  for (int64_t i = 0; i < n; ++i) {
    const float* row = context + rows[i];
    for (int k = 0; k < Vectors; ++k) sum[k] += lanes(row + k * kLanes) * weights[i];
  }
  for (int k = 0; k < Vectors; ++k) lanes(sums + k * kLanes) = sum[k];
}

VEXKD_CLONES void add_weighted(const float* context, const int64_t* rows, const float* weights, int64_t n,
                               int64_t channels, float* sums) {
  int64_t c = 0;
  for (; c + 5 * kLanes <= channels; c += 5 * kLanes) add_rows<5>(context + c, rows, weights, n, sums + c);
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes) add_rows<4>(context + c, rows, weights, n, sums + c);
  for (; c < channels; c += kLanes) add_rows<1>(context + c, rows, weights, n, sums + c);
}

// Sum over lanes and then over the 16 lanes in a fixed tree: the same bits on every instruction set.
VEXKD_CLONES float dot(const float* a, const float* b, int64_t channels) {
  Lanes sum = {};
  for (int64_t c = 0; c < channels; c += kLanes) sum += lanes(a + c) * lanes(b + c);
  float part[kLanes];
  lanes(part) = sum;
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t i = 0; i < half; ++i) part[i] += part[i + half];
  }
  return part[0];
}

struct Sizes {
  explicit Sizes(const vexkd_bev_pool_shape& shape)
      : pixels(int64_t{shape.feature_height} * shape.feature_width),
        frustum(int64_t{shape.views} * shape.depths * pixels),
        cells(int64_t{shape.height} * shape.width),
        all_cells(cells * shape.batch),
        padded(whole_lanes(shape.channels)),
        bins(pixels * shape.depths) {}
  int64_t pixels, frustum, cells, all_cells, padded, bins;
};

struct Interval {
  int64_t begin, end;
};

// How many of the listed points count: all, or none where the starts are no table, as bev_pool.h documents.
VEXKD_CLONES int32_t usable_points(const int32_t* starts, int64_t cells, int32_t capacity) {
  int32_t falls = 0;
  for (int64_t cell = 0; cell < cells; ++cell) {
    falls |= std::clamp(starts[cell + 1], 0, capacity) < std::clamp(starts[cell], 0, capacity) ? 1 : 0;
  }
  return falls == 0 ? capacity : 0;
}

// The points of a cell; `usable` of them all count.
VEXKD_INLINE Interval interval(const int32_t* starts, int64_t cell, int64_t usable) {
  return {std::clamp<int64_t>(starts[cell], 0, usable), std::clamp<int64_t>(starts[cell + 1], 0, usable)};
}

float load_at(const void* from, vexkd_dtype dtype, int64_t i) {
  return dtype == VEXKD_F32 ? static_cast<const float*>(from)[i] : load(static_cast<const Half*>(from)[i]);
}

void store_at(float value, vexkd_dtype dtype, void* to, int64_t i) {
  if (dtype == VEXKD_F32) {
    static_cast<float*>(to)[i] = value;
  } else {
    store(value, static_cast<Half*>(to) + i);
  }
}

struct Forward {
  const void* depth;
  vexkd_dtype dtype;
  const float* context;  // channels-last
  const int32_t* points;
  const int32_t* starts;
  int64_t usable;
  Sizes sizes;
  Divider by_bins, by_pixels;

  // Add the points of one cell to sums (channels `first` .. `first + channels`).
  void pool(int64_t cell, int64_t first, int64_t channels, float* sums) const {
    int64_t rows[kListed];
    float weights[kListed];
    const Interval list = interval(starts, cell, usable);
    for (int64_t begin = list.begin; begin < list.end; begin += kListed) {
      const int64_t end = std::min(list.end, begin + kListed);
      int64_t n = 0;
      for (int64_t k = begin; k < end; ++k) {
        const int64_t point = points[k];
        if (point < 0 || point >= sizes.frustum) continue;
        const uint32_t index = static_cast<uint32_t>(point), plane = by_pixels(index);
        const int64_t pixel = by_bins(index) * sizes.pixels + (point - plane * sizes.pixels);
        rows[n] = pixel * sizes.padded;
        weights[n++] = load_at(depth, dtype, point);
      }
      add_weighted(context + first, rows, weights, n, channels, sums);
    }
  }
};

size_t forward_bytes(const vexkd_bev_pool_shape& s) {
  return Scratch::block_bytes(product({s.views, s.feature_height, s.feature_width, whole_lanes(s.channels), 4}));
}

size_t backward_bytes(const vexkd_bev_pool_shape& s) {
  const size_t gradient = product({s.batch, s.height, s.width, whole_lanes(s.channels), 4});
  const size_t cell_of = product({s.views, s.depths, s.feature_height, s.feature_width, 4});
  return saturating_add(forward_bytes(s),
                        saturating_add(Scratch::block_bytes(gradient), Scratch::block_bytes(cell_of)));
}

// cell_of[p]: the cell that lists frustum point p, or -1.
void invert(const int32_t* points, const int32_t* starts, int32_t capacity, const Sizes& sizes, int32_t* cell_of,
            int32_t threads) {
  constexpr int64_t kFill = 1 << 16, kCells = 1 << 10;
  parallel_for(threads, ceil_divide(sizes.frustum, kFill), [&](int64_t task) {
    std::fill(cell_of + task * kFill, cell_of + std::min(sizes.frustum, (task + 1) * kFill), -1);
  });
  const int32_t usable = usable_points(starts, sizes.all_cells, capacity);
  parallel_for(threads, ceil_divide(sizes.all_cells, kCells), [&](int64_t task) {
    for (int64_t cell = task * kCells; cell < std::min(sizes.all_cells, (task + 1) * kCells); ++cell) {
      const Interval list = interval(starts, cell, usable);
      for (int64_t k = list.begin; k < list.end; ++k) {
        const int64_t point = points[k];
        if (point < 0 || point >= sizes.frustum) continue;
        // A point that is listed twice, against the rules, is written by two tasks: atomic, so that one of them wins.
        __atomic_store_n(cell_of + point, static_cast<int32_t>(cell), __ATOMIC_RELAXED);
      }
    }
  });
}

struct Backward {
  const void* depth;
  vexkd_dtype dtype;
  const float* gradient;  // of bev, channels-last
  const int32_t* cell_of;
  Sizes sizes;
  int64_t depths;
  void* grad_depth;

  // Gradients of the depth bins of one pixel, whose context is `row`.
  void pixel_depth(int64_t view, int64_t position, const float* row) const {
    for (int64_t bin = 0; bin < depths; ++bin) {
      const int64_t point = view * sizes.bins + bin * sizes.pixels + position, cell = cell_of[point];
      const float value = cell < 0 ? 0.0F : dot(gradient + cell * sizes.padded, row, sizes.padded);
      store_at(value, dtype, grad_depth, point);
    }
  }

  // sums = gradient of the context of one pixel.
  void pixel_context(int64_t view, int64_t position, float* sums) const {
    int64_t rows[kListed];
    float weights[kListed];
    int64_t n = 0;
    std::fill(sums, sums + sizes.padded, 0.0F);
    for (int64_t bin = 0; bin < depths; ++bin) {
      const int64_t point = view * sizes.bins + bin * sizes.pixels + position, cell = cell_of[point];
      if (cell < 0) continue;
      rows[n] = cell * sizes.padded;
      weights[n++] = load_at(depth, dtype, point);
      if (n == kListed) {
        add_weighted(gradient, rows, weights, n, sizes.padded, sums);
        n = 0;
      }
    }
    add_weighted(gradient, rows, weights, n, sizes.padded, sums);
  }
};

}  // namespace
}  // namespace vexkd

vexkd_status vexkd_bev_pool_cpu_workspace(vexkd_dtype dtype, const vexkd_bev_pool_shape* shape, size_t* size) {
  if (size == nullptr) return VEXKD_NULL_POINTER;
  const vexkd_status status = vexkd::check_bev_pool_shape(dtype, shape);
  if (status != VEXKD_OK) return status;
  *size = vexkd::Scratch::anywhere(vexkd::forward_bytes(*shape));
  return VEXKD_OK;
}

vexkd_status vexkd_bev_pool_backward_cpu_workspace(vexkd_dtype dtype, const vexkd_bev_pool_shape* shape, size_t* size) {
  if (size == nullptr) return VEXKD_NULL_POINTER;
  const vexkd_status status = vexkd::check_bev_pool_shape(dtype, shape);
  if (status != VEXKD_OK) return status;
  *size = vexkd::Scratch::anywhere(vexkd::backward_bytes(*shape));
  return VEXKD_OK;
}

vexkd_status vexkd_bev_pool_cpu(const void* depth, const void* context, vexkd_dtype dtype, const int32_t* points,
                                const int32_t* starts, const vexkd_bev_pool_shape* shape, void* bev, int32_t threads,
                                void* workspace, size_t workspace_size) {
  using namespace vexkd;
  vexkd_status status = check_bev_pool_shape(dtype, shape);
  if (status != VEXKD_OK) return status;
  const size_t needed = Scratch::anywhere(forward_bytes(*shape));
  status = check_workspace(workspace, workspace_size, needed, true);
  if (status != VEXKD_OK) return status;
  status = check_bev_pool(depth, context, dtype, points, starts, shape, bev, VEXKD_PLANAR, VEXKD_PLANAR,
                          workspace_buffer(workspace, needed));
  if (status != VEXKD_OK || shape->channels == 0) return status;
  Scratch scratch(workspace, needed);
  if (scratch.failed()) return VEXKD_OUT_OF_MEMORY;

  const Sizes sizes(*shape);
  const int32_t workers = resolve_threads(threads);
  float* rows = scratch.take<float>(product({shape->views, sizes.pixels, sizes.padded}));
  to_channels_last(context, dtype, shape->views, shape->channels, sizes.pixels, rows, workers);
  const Forward forward = {depth,
                           dtype,
                           rows,
                           points,
                           starts,
                           usable_points(starts, sizes.all_cells, shape->points),
                           sizes,
                           Divider(static_cast<uint32_t>(sizes.bins)),
                           Divider(static_cast<uint32_t>(sizes.pixels))};
  const int64_t tiles = ceil_divide(sizes.cells, kTile);
  prefer_huge_pages(bev, product({sizes.all_cells, shape->channels, static_cast<int64_t>(dtype_size(dtype))}));
  parallel_for(workers, shape->batch * tiles, [&](int64_t task) {
    alignas(64) float tile[kTile * kMaxChannels];
    const int64_t sample = task / tiles, start = task % tiles * kTile, n = std::min(kTile, sizes.cells - start);
    for (int64_t first = 0; first < sizes.padded; first += kMaxChannels) {
      const int64_t padded = std::min(kMaxChannels, sizes.padded - first);
      std::fill(tile, tile + n * padded, 0.0F);
      for (int64_t i = 0; i < n; ++i) forward.pool(sample * sizes.cells + start + i, first, padded, tile + i * padded);
      store_tile(tile, n, padded, std::min(kMaxChannels, shape->channels - first), sizes.cells, dtype, bev,
                 (sample * shape->channels + first) * sizes.cells + start);
    }
  });
  return VEXKD_OK;
}

vexkd_status vexkd_bev_pool_backward_cpu(const void* grad_bev, const void* depth, const void* context,
                                         vexkd_dtype dtype, const int32_t* points, const int32_t* starts,
                                         const vexkd_bev_pool_shape* shape, void* grad_depth, void* grad_context,
                                         int32_t threads, void* workspace, size_t workspace_size) {
  using namespace vexkd;
  vexkd_status status = check_bev_pool_shape(dtype, shape);
  if (status != VEXKD_OK) return status;
  const size_t needed = Scratch::anywhere(backward_bytes(*shape));
  status = check_workspace(workspace, workspace_size, needed, true);
  if (status != VEXKD_OK) return status;
  status = check_bev_pool_backward(grad_bev, depth, context, dtype, points, starts, shape, grad_depth, grad_context,
                                   workspace_buffer(workspace, needed));
  if (status != VEXKD_OK) return status;
  Scratch scratch(workspace, needed);
  if (scratch.failed()) return VEXKD_OUT_OF_MEMORY;

  const Sizes sizes(*shape);
  const int32_t workers = resolve_threads(threads);
  float* rows = scratch.take<float>(product({shape->views, sizes.pixels, sizes.padded}));
  float* gradient = scratch.take<float>(product({sizes.all_cells, sizes.padded}));
  int32_t* cell_of = scratch.take<int32_t>(product({sizes.frustum}));
  to_channels_last(context, dtype, shape->views, shape->channels, sizes.pixels, rows, workers);
  to_channels_last(grad_bev, dtype, shape->batch, shape->channels, sizes.cells, gradient, workers);
  invert(points, starts, shape->points, sizes, cell_of, workers);
  const Backward backward = {depth, dtype, gradient, cell_of, sizes, shape->depths, grad_depth};
  const int64_t tiles = ceil_divide(sizes.pixels, kTile);
  parallel_for(workers, shape->views * tiles, [&](int64_t task) {
    const int64_t view = task / tiles, start = task % tiles * kTile, n = std::min(kTile, sizes.pixels - start);
    float* tile = rows + (view * sizes.pixels + start) * sizes.padded;
    for (int64_t i = 0; i < n; ++i) {
      float* row = tile + i * sizes.padded;
      if (grad_depth != nullptr) backward.pixel_depth(view, start + i, row);
      // The context was needed for the last time: its gradient takes its place.
      if (grad_context != nullptr) backward.pixel_context(view, start + i, row);
    }
    if (grad_context == nullptr) return;
    store_tile(tile, n, sizes.padded, shape->channels, sizes.pixels, dtype, grad_context,
               view * shape->channels * sizes.pixels + start);
  });
  return VEXKD_OK;
}
