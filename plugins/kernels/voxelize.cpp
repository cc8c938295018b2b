#include "vexkd/voxelize.h"

#include <algorithm>
#include <cmath>

#include "checks.h"
#include "cpu.h"
#include "parallel.h"

// Three passes. Locate: cell and fixed-point offset of every point. Sum: per pillar in int64, each thread for the
// pillars it owns, so any order gives the same bits; a pillar's first point leads it and holds its sums. Describe:
// write the features.
namespace vexkd {
namespace {

constexpr int64_t kChunk = 2048;  // points of one task
constexpr int64_t kBlock = 256;   // points converted to columns at a time
constexpr int kFeatures = VEXKD_POINT_FEATURES, kColumns = VEXKD_POINT_SIZE;

struct Axis {
  float low, cell, limit;
};

// The grid as the loops need it, with the scales of voxelize.h.
struct Frame {
  Axis x, y;
  float z_min, z_max, z_centre;
  float scale[3], inverse[3];
  int32_t width;
};

// 2^k with k = 30 - p for an extent of f * 2^p, 0.5 <= f < 1.
float fixed_point_scale(float extent) {
  int exponent;
  std::frexp(extent, &exponent);
  return std::ldexp(1.0F, 30 - exponent);
}

Frame make_frame(const vexkd_grid& grid) {
  Frame frame;
  frame.x = {grid.x_min, grid.cell_x, static_cast<float>(grid.width)};
  frame.y = {grid.y_min, grid.cell_y, static_cast<float>(grid.height)};
  frame.z_min = grid.z_min;
  frame.z_max = grid.z_max;
  frame.z_centre = (grid.z_min + grid.z_max) * 0.5F;
  const float extents[3] = {grid.cell_x, grid.cell_y, grid.z_max - grid.z_min};
  for (int axis = 0; axis < 3; ++axis) {
    frame.scale[axis] = fixed_point_scale(extents[axis]);
    frame.inverse[axis] = 1.0F / frame.scale[axis];
  }
  frame.width = grid.width;
  return frame;
}

// A block of points as columns: offset to the cell's centre, and the cell.
struct Block {
  float offset[3][kBlock];
  int32_t cell[kBlock];
};

// Fixed-point offset and a one, which sums to the count.
struct alignas(16) Fixed {
  int32_t value[4];
};

struct alignas(32) Sum {
  int64_t value[4];
};

VEXKD_INLINE float along(const Axis& axis, float value) { return std::floor((value - axis.low) / axis.cell); }

VEXKD_INLINE float centre(const Axis& axis, float index) { return (index + 0.5F) * axis.cell + axis.low; }

// Points rows .. rows + n - 1; first_cell is the sample's first.
VEXKD_INLINE void locate_block(const float* points, int64_t n, const Frame& frame, int32_t first_cell, Block& block) {
  float column[kColumns][kBlock];
  for (int64_t i = 0; i < n; ++i) {
    for (int k = 0; k < kColumns; ++k) column[k][i] = points[i * kColumns + k];
  }
  for (int64_t i = 0; i < n; ++i) {
    const float x = column[0][i], y = column[1][i], z = column[2][i];
    const float ix = along(frame.x, x), iy = along(frame.y, y);
    // Infinity - infinity and NaN - NaN are no number, every finite difference with itself is 0.
    const float rest = (column[3][i] - column[3][i]) + (column[4][i] - column[4][i]);
    const bool inside = (ix >= 0) & (ix < frame.x.limit) & (iy >= 0) & (iy < frame.y.limit) & (z >= frame.z_min) &
                        (z < frame.z_max) & (rest == 0);
    const int32_t column_index = static_cast<int32_t>(inside ? ix : 0.0F);
    const int32_t row_index = static_cast<int32_t>(inside ? iy : 0.0F);
    const int32_t cell = row_index * frame.width + column_index + first_cell;
    block.cell[i] = inside ? cell : -1;
    block.offset[0][i] = x - centre(frame.x, ix);
    block.offset[1][i] = y - centre(frame.y, iy);
    block.offset[2][i] = z - frame.z_centre;
  }
}

VEXKD_CLONES void locate(const float* points, int64_t n, const Frame& frame, int32_t first_cell, int32_t* cells,
                         Fixed* fixed) {
  Block block;
  for (int64_t start = 0; start < n; start += kBlock) {
    const int64_t size = std::min(kBlock, n - start);
    locate_block(points + start * kColumns, size, frame, first_cell, block);
    for (int64_t i = 0; i < size; ++i) {
      cells[start + i] = block.cell[i];
      for (int axis = 0; axis < 3; ++axis) {
        float scaled = block.offset[axis][i] * frame.scale[axis];
        scaled = scaled < -0x1p30F ? -0x1p30F : scaled;
        scaled = scaled < 0x1p30F ? scaled : 0x1p30F;
        fixed[start + i].value[axis] = static_cast<int32_t>(std::nearbyint(scaled));
      }
      fixed[start + i].value[3] = 1;
    }
  }
}

// Owner of a cell among `owners`, by blocks of 16 cells so that two owners' entries share no cache line.
VEXKD_INLINE uint32_t owner_of(int32_t cell, uint32_t owners) {
  const uint32_t hash = (static_cast<uint32_t>(cell) >> 4) * 0x9E3779B1U;
  return static_cast<uint32_t>((static_cast<uint64_t>(hash) * owners) >> 32);
}

// leaders[i]: the first point of point i's pillar; sums[leader]: the pillar's sums. `first` has an entry per cell; only
// those of cells with points are touched, for the grid may be far larger than the cloud.
VEXKD_CLONES void sum(const int32_t* cells, const Fixed* fixed, int64_t n, uint32_t owner, uint32_t owners,
                      int32_t* first, int32_t* leaders, Sum* sums) {
  for (int64_t i = 0; i < n; ++i) {
    if (cells[i] >= 0 && owner_of(cells[i], owners) == owner) first[cells[i]] = -1;
  }
  for (int64_t i = 0; i < n; ++i) {
    if (cells[i] < 0 || owner_of(cells[i], owners) != owner) continue;
    int32_t& leader = first[cells[i]];
    if (leader < 0) {
      leader = static_cast<int32_t>(i);
      sums[i] = Sum{};
    }
    leaders[i] = leader;
    for (int k = 0; k < 4; ++k) sums[leader].value[k] += fixed[i].value[k];
  }
}

template <typename T>
VEXKD_INLINE void describe_blocks(const float* points, int64_t n, const Frame& frame, int32_t first_cell,
                                  const int32_t* leaders, const Sum* sums, T* features) {
  Block block;
  float total[3][kBlock], count[kBlock];
  for (int64_t start = 0; start < n; start += kBlock) {
    const int64_t size = std::min(kBlock, n - start);
    const float* rows = points + start * kColumns;
    locate_block(rows, size, frame, first_cell, block);
    for (int64_t i = 0; i < size; ++i) {
      const bool kept = block.cell[i] >= 0;
      const Sum all = kept ? sums[leaders[start + i]] : Sum{{0, 0, 0, 1}};
      for (int axis = 0; axis < 3; ++axis) total[axis][i] = static_cast<float>(all.value[axis]);
      count[i] = static_cast<float>(all.value[3]);
    }
    for (int axis = 0; axis < 3; ++axis) {
      for (int64_t i = 0; i < size; ++i) total[axis][i] = total[axis][i] / count[i] * frame.inverse[axis];
    }
    for (int64_t i = 0; i < size; ++i) {
      const bool kept = block.cell[i] >= 0;
      T* row = features + (start + i) * kFeatures;
      for (int k = 0; k < kColumns; ++k) store(kept ? rows[i * kColumns + k] : 0.0F, row + k);
      for (int axis = 0; axis < 3; ++axis) {
        const float offset = block.offset[axis][i];
        store(kept ? offset - total[axis][i] : 0.0F, row + kColumns + axis);
        store(kept ? offset : 0.0F, row + kColumns + 3 + axis);
      }
    }
  }
}

VEXKD_CLONES void describe(const float* points, int64_t n, const Frame& frame, int32_t first_cell,
                           const int32_t* leaders, const Sum* sums, float* features) {
  describe_blocks(points, n, frame, first_cell, leaders, sums, features);
}

VEXKD_CLONES void describe_half(const float* points, int64_t n, const Frame& frame, int32_t first_cell,
                                const int32_t* leaders, const Sum* sums, Half* features) {
  describe_blocks(points, n, frame, first_cell, leaders, sums, features);
}

size_t workspace_bytes(int32_t batch, int32_t capacity, const vexkd_grid& grid) {
  if (capacity == 0) return 0;
  const size_t fixed = Scratch::block_bytes(product({batch, capacity, sizeof(Fixed)}));
  const size_t sums = Scratch::block_bytes(product({batch, capacity, sizeof(Sum)}));
  const size_t leaders = Scratch::block_bytes(product({batch, capacity, 4}));
  const size_t first = Scratch::block_bytes(product({batch, grid.height, grid.width, 4}));
  return saturating_add(saturating_add(fixed, sums), saturating_add(leaders, first));
}

}  // namespace
}  // namespace vexkd

vexkd_status vexkd_voxelize_cpu_workspace(int32_t batch, int32_t capacity, const vexkd_grid* grid, size_t* size) {
  if (size == nullptr) return VEXKD_NULL_POINTER;
  const vexkd_status status = vexkd::check_voxelize_sizes(batch, capacity, grid);
  if (status != VEXKD_OK) return status;
  *size = vexkd::workspace_bytes(batch, capacity, *grid);
  return VEXKD_OK;
}

vexkd_status vexkd_voxelize_cpu(const float* points, const int32_t* counts, int32_t batch, int32_t capacity,
                                const vexkd_grid* grid, vexkd_dtype features_dtype, void* features, int32_t* cells,
                                int32_t threads, void* workspace, size_t workspace_size) {
  using namespace vexkd;
  vexkd_status status = check_voxelize_sizes(batch, capacity, grid);
  if (status != VEXKD_OK) return status;
  const size_t needed = workspace_bytes(batch, capacity, *grid);
  status = check_workspace(workspace, workspace_size, needed, true);
  if (status != VEXKD_OK) return status;
  status = check_voxelize(points, counts, batch, capacity, grid, features_dtype, features, cells,
                          workspace_buffer(workspace, needed, VEXKD_CPU_ALIGNMENT));
  if (status != VEXKD_OK) return status;
  if (capacity == 0) return VEXKD_OK;
  Scratch scratch(workspace, needed);
  if (scratch.failed()) return VEXKD_OUT_OF_MEMORY;

  Fixed* fixed = scratch.take<Fixed>(product({batch, capacity}));
  Sum* sums = scratch.take<Sum>(product({batch, capacity}));
  int32_t* leaders = scratch.take<int32_t>(product({batch, capacity}));
  int32_t* first = scratch.take<int32_t>(product({batch, grid->height, grid->width}));
  const Frame frame = make_frame(*grid);
  const int32_t workers = resolve_threads(threads);
  const int64_t chunks = ceil_divide(capacity, kChunk), all_cells = int64_t{grid->height} * grid->width;

  // body(first row, valid rows, rows, first cell) of every chunk.
  const auto for_chunks = [&](const auto& body) {
    parallel_for(workers, batch * chunks, [&](int64_t task) {
      const int64_t sample = task / chunks, start = task % chunks * kChunk;
      const int64_t rows = std::min<int64_t>(kChunk, capacity - start);
      const int64_t valid = std::clamp<int64_t>(counts[sample] - start, 0, rows);
      body(sample * capacity + start, valid, rows, static_cast<int32_t>(sample * all_cells));
    });
  };
  for_chunks([&](int64_t row, int64_t valid, int64_t rows, int32_t first_cell) {
    locate(points + row * kColumns, valid, frame, first_cell, cells + row, fixed + row);
    std::fill(cells + row + valid, cells + row + rows, -1);
  });
  parallel_for(workers, workers, [&](int64_t owner) {
    sum(cells, fixed, int64_t{batch} * capacity, static_cast<uint32_t>(owner), static_cast<uint32_t>(workers), first,
        leaders, sums);
  });
  for_chunks([&](int64_t row, int64_t valid, int64_t rows, int32_t first_cell) {
    const float* from = points + row * kColumns;
    if (features_dtype == VEXKD_F32) {
      float* to = static_cast<float*>(features) + row * kFeatures;
      describe(from, valid, frame, first_cell, leaders + row, sums, to);
      std::fill(to + valid * kFeatures, to + rows * kFeatures, 0.0F);
    } else {
      Half* to = static_cast<Half*>(features) + row * kFeatures;
      describe_half(from, valid, frame, first_cell, leaders + row, sums, to);
      std::fill(to + valid * kFeatures, to + rows * kFeatures, Half{0});
    }
  });
  return VEXKD_OK;
}
