#include "vexkd/frustum_index.h"

#include <algorithm>
#include <cmath>

#include "checks.h"
#include "cpu.h"
#include "memory.h"
#include "parallel.h"

// A stable counting sort in chunks: cell of every point; per chunk a histogram over the cells; running sums over
// (cell, chunk) turn the histograms into write positions; every chunk scatters its points in order.
namespace vexkd {
namespace {

constexpr int64_t kPixels = 256;  // pixels of a row at a time
constexpr int64_t kLanes = 16;    // rows are computed in whole vectors
constexpr int64_t kMaxChunks = 8;

struct Frame {
  const float* rays;
  const float* origins;
  const float* depths;
  int64_t bins, height, width, views_per_sample;
  float stride;
  vexkd_grid grid;
};

// Directions of pixels first .. first + n - 1 of row y of a camera, three columns of kPixels.
VEXKD_INLINE void aim(const Frame& frame, int64_t view, int64_t y, int64_t first, int64_t n,
                      float (&direction)[3][kPixels]) {
  const float* m = frame.rays + view * 9;
  const float v = (static_cast<float>(y) + 0.5F) * frame.stride - 0.5F;
  for (int axis = 0; axis < 3; ++axis, m += 3) {
    for (int64_t i = 0; i < n; ++i) {
      const float u = (static_cast<float>(static_cast<int32_t>(first + i)) + 0.5F) * frame.stride - 0.5F;
      direction[axis][i] = m[0] * u + m[1] * v + m[2];
    }
  }
}

// Cells of all depth bins of row y of a camera; -1 outside the grid.
VEXKD_CLONES void locate_row(const Frame& frame, int64_t view, int64_t y, int32_t* cells) {
  const vexkd_grid grid = frame.grid;  // a copy: no store can change it
  const float* origin = frame.origins + view * 3;
  const float origin_x = origin[0], origin_y = origin[1], origin_z = origin[2];
  const float limit_x = static_cast<float>(grid.width), limit_y = static_cast<float>(grid.height);
  const int32_t first_cell = static_cast<int32_t>(view / frame.views_per_sample) * grid.height * grid.width;
  float direction[3][kPixels];
  int32_t located[kPixels];
  for (int64_t first = 0; first < frame.width; first += kPixels) {
    const int64_t n = std::min(kPixels, frame.width - first);
    const int64_t padded = ceil_divide(n, kLanes) * kLanes;
    aim(frame, view, y, first, padded, direction);
    for (int64_t bin = 0; bin < frame.bins; ++bin) {
      const float depth = frame.depths[bin];
      for (int64_t i = 0; i < padded; ++i) {
        const float px = direction[0][i] * depth + origin_x, py = direction[1][i] * depth + origin_y;
        const float pz = direction[2][i] * depth + origin_z;
        const float ix = std::floor((px - grid.x_min) / grid.cell_x);
        const float iy = std::floor((py - grid.y_min) / grid.cell_y);
        const bool inside =
            (ix >= 0) & (ix < limit_x) & (iy >= 0) & (iy < limit_y) & (pz >= grid.z_min) & (pz < grid.z_max);
        const int32_t column_index = static_cast<int32_t>(inside ? ix : 0.0F);
        const int32_t row_index = static_cast<int32_t>(inside ? iy : 0.0F);
        located[i] = inside ? first_cell + row_index * grid.width + column_index : -1;
      }
      std::copy_n(located, n, cells + ((view * frame.bins + bin) * frame.height + y) * frame.width + first);
    }
  }
}

// As many chunks as keep the histograms no larger than the cells of all points: from sizes alone, so that the
// workspace does not depend on the number of threads.
int64_t chunk_count(int64_t points, int64_t cells) { return std::clamp<int64_t>(points / cells, 1, kMaxChunks); }

struct Extent {
  Extent(const vexkd_frustum_shape& shape, const vexkd_grid& grid)
      : points(int64_t{shape.views} * shape.depths * shape.height * shape.width),
        cells(int64_t{shape.batch} * grid.height * grid.width),
        chunks(chunk_count(points, cells)) {}
  int64_t points, cells, chunks;
};

size_t workspace_bytes(const Extent& extent) {
  // max(cells, min(8 cells, points)) counters: monotone in every size, although the number of chunks is not.
  const int64_t counters = std::max(extent.cells, std::min(kMaxChunks * extent.cells, extent.points));
  return Scratch::anywhere(
      saturating_add(Scratch::block_bytes(product({extent.points, 4})), Scratch::block_bytes(product({counters, 4}))));
}

void count(const int32_t* cells, int64_t n, int32_t* histogram) {
  for (int64_t i = 0; i < n; ++i) {
    if (cells[i] >= 0) ++histogram[cells[i]];
  }
}

void place(const int32_t* cells, int64_t begin, int64_t end, int32_t* position, int32_t* points) {
  for (int64_t i = begin; i < end; ++i) {
    if (cells[i] >= 0) points[position[cells[i]]++] = static_cast<int32_t>(i);
  }
}

// Turn counts (chunks, cells) into write positions, and fill starts.
void accumulate(const Extent& extent, int32_t* histograms, int32_t* starts) {
  int32_t total = 0;
  for (int64_t cell = 0; cell < extent.cells; ++cell) {
    starts[cell] = total;
    for (int64_t chunk = 0; chunk < extent.chunks; ++chunk) {
      int32_t& position = histograms[chunk * extent.cells + cell];
      const int32_t n = position;
      position = total;
      total += n;
    }
  }
  starts[extent.cells] = total;
}

}  // namespace
}  // namespace vexkd

vexkd_status vexkd_frustum_index_cpu_workspace(const vexkd_frustum_shape* shape, const vexkd_grid* grid, size_t* size) {
  if (size == nullptr) return VEXKD_NULL_POINTER;
  const vexkd_status status = vexkd::check_frustum_sizes(shape, grid);
  if (status != VEXKD_OK) return status;
  *size = vexkd::workspace_bytes(vexkd::Extent(*shape, *grid));
  return VEXKD_OK;
}

vexkd_status vexkd_frustum_index_cpu(const float* rays, const float* origins, const float* depths,
                                     const vexkd_frustum_shape* shape, const vexkd_grid* grid, int32_t* points,
                                     int32_t* starts, int32_t threads, void* workspace, size_t workspace_size) {
  using namespace vexkd;
  vexkd_status status = check_frustum_sizes(shape, grid);
  if (status != VEXKD_OK) return status;
  const Extent extent(*shape, *grid);
  const size_t needed = workspace_bytes(extent);
  status = check_workspace(workspace, workspace_size, needed, true);
  if (status != VEXKD_OK) return status;
  status = check_frustum_index(rays, origins, depths, shape, grid, points, starts, workspace_buffer(workspace, needed));
  if (status != VEXKD_OK) return status;
  Scratch scratch(workspace, needed);
  if (scratch.failed()) return VEXKD_OUT_OF_MEMORY;

  const Frame frame = {rays,
                       origins,
                       depths,
                       shape->depths,
                       shape->height,
                       shape->width,
                       shape->views / shape->batch,
                       static_cast<float>(shape->stride),
                       *grid};
  const int32_t workers = resolve_threads(threads);
  int32_t* cells = scratch.take<int32_t>(static_cast<size_t>(extent.points));
  int32_t* histograms = scratch.take<int32_t>(static_cast<size_t>(extent.chunks * extent.cells));
  prefer_huge_pages(points, static_cast<size_t>(extent.points) * 4);
  parallel_for(workers, int64_t{shape->views} * shape->height,
               [&](int64_t task) { locate_row(frame, task / shape->height, task % shape->height, cells); });
  const auto chunk_begin = [&](int64_t chunk) { return extent.points * chunk / extent.chunks; };
  parallel_for(workers, extent.chunks, [&](int64_t chunk) {
    int32_t* histogram = histograms + chunk * extent.cells;
    std::fill(histogram, histogram + extent.cells, 0);
    count(cells + chunk_begin(chunk), chunk_begin(chunk + 1) - chunk_begin(chunk), histogram);
  });
  accumulate(extent, histograms, starts);
  parallel_for(workers, extent.chunks, [&](int64_t chunk) {
    place(cells, chunk_begin(chunk), chunk_begin(chunk + 1), histograms + chunk * extent.cells, points);
  });
  std::fill(points + starts[extent.cells], points + extent.points, -1);
  return VEXKD_OK;
}
