#include "vexkd/voxelize.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "checks.h"
#include "cpu.h"
#include "memory.h"
#include "parallel.h"

// Collect: every thread walks its slice of the points, writes their cells and sums their offsets by pillar in a table
// of its own. Merge: the first table takes in the others. Describe: every thread writes the features of chunks of
// points. The sums are int64, so neither slices nor order change a bit.
namespace vexkd {
namespace {

constexpr int64_t kChunk = 2048;  // points of one task
constexpr int64_t kBlock = 256;   // points converted to columns at a time
constexpr int64_t kAhead = 16;    // points between asking for a table's entry and using it
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

// Sums over the points of one cell.
struct alignas(32) Pillar {
  int64_t sum[3];  // fixed-point offsets
  int32_t count;
  int32_t cell;
};

// Pillars in the order of their first points, found by cell. The index is never cleared, for it may be far larger than
// the cloud: an entry counts only if the pillar it points to names the same cell.
struct Table {
  int32_t* index;  // one entry per cell, of any value
  Pillar* pillars;
  int32_t used;
  int32_t base;  // number of the first pillar among those of all tables

  VEXKD_INLINE void prefetch(int32_t cell) const { __builtin_prefetch(index + std::max(cell, 0)); }

  VEXKD_INLINE int32_t find_or_add(int32_t cell) {
    const int32_t known = index[cell];
    if (known >= 0 && known < used && pillars[known].cell == cell) return known;
    pillars[used] = {{0, 0, 0}, 0, cell};
    index[cell] = used;
    return used++;
  }
};

// What the points of a pillar share: the cell's centre, and the mean of their offsets from it; the fourth is padding.
struct alignas(32) Shared {
  float centre[4];
  float mean[4];
};

VEXKD_INLINE float along(const Axis& axis, float value) { return std::floor((value - axis.low) / axis.cell); }

VEXKD_INLINE float centre(const Axis& axis, float index) { return (index + 0.5F) * axis.cell + axis.low; }

// Points rows .. rows + n - 1; first_cell is the sample's first.
VEXKD_INLINE void locate_block(const float* points, int64_t n, const Frame frame, int32_t first_cell, Block& block) {
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

// Cells of n points, their pillars in `table`, and in `slots` the number of each one's pillar. Returns how many are
// used.
VEXKD_CLONES int32_t collect(const float* points, int64_t n, const Frame& frame, int32_t first_cell, Table table,
                             int32_t* cells, int32_t* slots) {
  Block block;
  int32_t fixed[3][kBlock];
  for (int64_t start = 0; start < n; start += kBlock) {
    const int64_t size = std::min(kBlock, n - start);
    locate_block(points + start * kColumns, size, frame, first_cell, block);
    for (int axis = 0; axis < 3; ++axis) {
      const float scale = frame.scale[axis];
      for (int64_t i = 0; i < size; ++i) {
        float scaled = block.offset[axis][i] * scale;
        scaled = scaled < -0x1p30F ? -0x1p30F : scaled;
        scaled = scaled < 0x1p30F ? scaled : 0x1p30F;
        fixed[axis][i] = static_cast<int32_t>(std::rint(scaled));
      }
    }
    for (int64_t i = 0; i < size; ++i) {
      cells[start + i] = block.cell[i];
      table.prefetch(block.cell[std::min(i + kAhead, size - 1)]);
      if (block.cell[i] < 0) continue;
      const int32_t slot = table.find_or_add(block.cell[i]);
      slots[start + i] = table.base + slot;
      Pillar& pillar = table.pillars[slot];
      for (int axis = 0; axis < 3; ++axis) pillar.sum[axis] += fixed[axis][i];
      ++pillar.count;
    }
  }
  return table.used;
}

// Features of n points; the i-th belongs to pillar slots[i], or renamed[slots[i]] if there is `renamed`.
template <typename T>
VEXKD_INLINE void describe_blocks(const float* points, int64_t n, const int32_t* cells, const int32_t* slots,
                                  const int32_t* renamed, const Shared* pillars, bool streamed, T* features) {
  alignas(64) T rows[kBlock * kFeatures];
  for (int64_t start = 0; start < n; start += kBlock) {
    const int64_t size = std::min(kBlock, n - start);
    for (int64_t i = 0; i < size; ++i) {
      T* row = rows + i * kFeatures;
      if (cells[start + i] < 0) {
        for (int k = 0; k < kFeatures; ++k) row[k] = T{};
        continue;
      }
      const int32_t slot = slots[start + i];
      const Shared& pillar = pillars[renamed == nullptr ? slot : renamed[slot]];
      const float* point = points + (start + i) * kColumns;
      for (int k = 0; k < kColumns; ++k) store(point[k], row + k);
      float offset[3];
      for (int axis = 0; axis < 3; ++axis) offset[axis] = point[axis] - pillar.centre[axis];
      for (int axis = 0; axis < 3; ++axis) store(offset[axis] - pillar.mean[axis], row + kColumns + axis);
      for (int axis = 0; axis < 3; ++axis) store(offset[axis], row + kColumns + 3 + axis);
    }
    T* to = features + start * kFeatures;
    const size_t bytes = static_cast<size_t>(size) * kFeatures * sizeof(T);
    if (streamed) {
      stream_copy(to, rows, bytes);
    } else {
      std::memcpy(to, rows, bytes);
    }
  }
}

VEXKD_CLONES void describe(const float* points, int64_t n, const int32_t* cells, const int32_t* slots,
                           const int32_t* renamed, const Shared* pillars, bool streamed, float* features) {
  describe_blocks(points, n, cells, slots, renamed, pillars, streamed, features);
}

VEXKD_CLONES void describe_half(const float* points, int64_t n, const int32_t* cells, const int32_t* slots,
                                const int32_t* renamed, const Shared* pillars, bool streamed, Half* features) {
  describe_blocks(points, n, cells, slots, renamed, pillars, streamed, features);
}

// Sizes of a call, and how its memory is laid out.
struct Plan {
  Plan(int32_t batch, int32_t capacity, const vexkd_grid& grid)
      : rows(int64_t{batch} * capacity),
        sample_cells(int64_t{grid.height} * grid.width),
        cells(sample_cells * batch),
        slices(std::clamp<int64_t>(kIndexBudget / cells, 1, kMaxSlices)) {}

  size_t bytes() const {
    if (rows == 0) return 0;
    // max(cells, min(kMaxSlices * cells, kIndexBudget)): monotone in cells, although the number of slices is not.
    const int64_t indices = std::max(cells, std::min(kMaxSlices * cells, kIndexBudget));
    size_t total = Scratch::block_bytes(product({indices, 4}));
    for (size_t block : {product({rows, sizeof(Pillar)}), product({rows, sizeof(Shared)}), product({rows, 2 * 4}),
                         size_t{4 * VEXKD_CPU_ALIGNMENT}}) {
      total = saturating_add(total, Scratch::block_bytes(block));
    }
    return Scratch::anywhere(total);
  }

  static constexpr int64_t kMaxSlices = 8;
  static constexpr int64_t kIndexBudget = int64_t{1} << 24;  // entries of all slices' indices together

  int64_t rows, sample_cells, cells;
  int64_t slices;  // at most
};

// The valid points of all samples, one after the other.
struct Cloud {
  const float* points;
  const int32_t* counts;
  int32_t batch, capacity;

  int64_t valid(int64_t sample) const { return std::clamp(counts[sample], 0, capacity); }

  int64_t total() const {
    int64_t sum = 0;
    for (int64_t sample = 0; sample < batch; ++sample) sum += valid(sample);
    return sum;
  }

  // body(sample, first row, rows) for the part of each sample among the valid points begin .. end - 1.
  template <typename Body>
  void for_samples(int64_t begin, int64_t end, const Body& body) const {
    int64_t before = 0;
    for (int64_t sample = 0; sample < batch; ++sample) {
      const int64_t first = std::max(begin, before) - before, last = std::min(end - before, valid(sample));
      if (first < last) body(sample, sample * capacity + first, last - first);
      before += valid(sample);
    }
  }
};

// Everything a call computes before the features.
struct Pillars {
  int32_t* slots;          // by row
  const int32_t* renamed;  // by slot; null when one slice made all pillars
  const Shared* shared;    // by pillar
};

Shared share(const Pillar& pillar, const Frame& frame, int64_t sample_cells) {
  const int32_t cell = static_cast<int32_t>(pillar.cell % sample_cells);
  const float count = static_cast<float>(pillar.count);
  Shared shared = {};
  shared.centre[0] = centre(frame.x, static_cast<float>(cell % frame.width));
  shared.centre[1] = centre(frame.y, static_cast<float>(cell / frame.width));
  shared.centre[2] = frame.z_centre;
  for (int axis = 0; axis < 3; ++axis) {
    shared.mean[axis] = static_cast<float>(pillar.sum[axis]) / count * frame.inverse[axis];
  }
  return shared;
}

Pillars find_pillars(const Cloud& cloud, const Frame& frame, const Plan& plan, int32_t threads, Scratch& scratch,
                     int32_t* cells) {
  const int64_t total = cloud.total();
  const int64_t slices =
      std::clamp<int64_t>(ceil_divide(total, 2 * kChunk), 1, std::min<int64_t>(threads, plan.slices));
  const auto slice_begin = [&](int64_t slice) { return total * slice / slices; };
  int32_t* slots = scratch.take<int32_t>(static_cast<size_t>(plan.rows));
  int32_t* indices = scratch.take<int32_t>(static_cast<size_t>(slices * plan.cells));
  Pillar* pillars = scratch.take<Pillar>(static_cast<size_t>(plan.rows));
  Table tables[Plan::kMaxSlices];
  parallel_for(threads, slices, [&](int64_t slice) {
    Table& table = tables[slice];
    const int64_t base = slice_begin(slice);
    table = {indices + slice * plan.cells, pillars + base, 0, static_cast<int32_t>(base)};
    cloud.for_samples(slice_begin(slice), slice_begin(slice + 1), [&](int64_t sample, int64_t row, int64_t n) {
      const int32_t first_cell = static_cast<int32_t>(sample * plan.sample_cells);
      table.used = collect(cloud.points + row * kColumns, n, frame, first_cell, table, cells + row, slots + row);
    });
  });

  Shared* shared = scratch.take<Shared>(static_cast<size_t>(plan.rows));
  int32_t* renamed = nullptr;
  // The first table takes in the others. It has no more pillars than its slice has points, so what it appends never
  // passes the pillar it has just read.
  Table& merged = tables[0];
  if (slices > 1) {
    renamed = scratch.take<int32_t>(static_cast<size_t>(plan.rows));
    std::iota(renamed, renamed + merged.used, 0);
    for (int64_t slice = 1; slice < slices; ++slice) {
      const int32_t end = tables[slice].base + tables[slice].used;
      for (int32_t slot = tables[slice].base; slot < end; ++slot) {
        merged.prefetch(pillars[std::min<int32_t>(slot + kAhead, end - 1)].cell);
        const Pillar part = pillars[slot];
        renamed[slot] = merged.find_or_add(part.cell);
        Pillar& pillar = pillars[renamed[slot]];
        for (int axis = 0; axis < 3; ++axis) pillar.sum[axis] += part.sum[axis];
        pillar.count += part.count;
      }
    }
  }
  parallel_for(threads, ceil_divide(merged.used, kChunk), [&](int64_t task) {
    const int64_t end = std::min<int64_t>(merged.used, (task + 1) * kChunk);
    for (int64_t i = task * kChunk; i < end; ++i) shared[i] = share(pillars[i], frame, plan.sample_cells);
  });
  return {slots, renamed, shared};
}

}  // namespace
}  // namespace vexkd

vexkd_status vexkd_voxelize_cpu_workspace(int32_t batch, int32_t capacity, const vexkd_grid* grid, size_t* size) {
  if (size == nullptr) return VEXKD_NULL_POINTER;
  const vexkd_status status = vexkd::check_voxelize_sizes(batch, capacity, grid);
  if (status != VEXKD_OK) return status;
  *size = vexkd::Plan(batch, capacity, *grid).bytes();
  return VEXKD_OK;
}

vexkd_status vexkd_voxelize_cpu(const float* points, const int32_t* counts, int32_t batch, int32_t capacity,
                                const vexkd_grid* grid, vexkd_dtype features_dtype, void* features, int32_t* cells,
                                int32_t threads, void* workspace, size_t workspace_size) {
  using namespace vexkd;
  vexkd_status status = check_voxelize_sizes(batch, capacity, grid);
  if (status != VEXKD_OK) return status;
  const Plan plan(batch, capacity, *grid);
  const size_t needed = plan.bytes();
  status = check_workspace(workspace, workspace_size, needed, true);
  if (status != VEXKD_OK) return status;
  status = check_voxelize(points, counts, batch, capacity, grid, features_dtype, features, cells,
                          workspace_buffer(workspace, needed));
  if (status != VEXKD_OK || plan.rows == 0) return status;
  Scratch scratch(workspace, needed);
  if (scratch.failed()) return VEXKD_OUT_OF_MEMORY;

  const Cloud cloud = {points, counts, batch, capacity};
  const Frame frame = make_frame(*grid);
  const int32_t workers = resolve_threads(threads);
  const Pillars pillars = find_pillars(cloud, frame, plan, workers, scratch, cells);
  const int64_t chunks = ceil_divide(capacity, kChunk);
  const size_t output_bytes = static_cast<size_t>(plan.rows) * kFeatures * dtype_size(features_dtype);
  const bool streamed = output_bytes >= kStreamBytes;
  prefer_huge_pages(features, output_bytes);
  parallel_for(workers, batch * chunks, [&](int64_t task) {
    const int64_t sample = task / chunks, start = task % chunks * kChunk, row = sample * capacity + start;
    const int64_t rows = std::min<int64_t>(kChunk, capacity - start);
    const int64_t valid = std::clamp<int64_t>(cloud.valid(sample) - start, 0, rows);
    std::fill(cells + row + valid, cells + row + rows, -1);
    const float* from = points + row * kColumns;
    if (features_dtype == VEXKD_F32) {
      float* to = static_cast<float*>(features) + row * kFeatures;
      describe(from, valid, cells + row, pillars.slots + row, pillars.renamed, pillars.shared, streamed, to);
      std::fill(to + valid * kFeatures, to + rows * kFeatures, 0.0F);
    } else {
      Half* to = static_cast<Half*>(features) + row * kFeatures;
      describe_half(from, valid, cells + row, pillars.slots + row, pillars.renamed, pillars.shared, streamed, to);
      std::fill(to + valid * kFeatures, to + rows * kFeatures, Half{0});
    }
    if (streamed) stream_fence();
  });
  return VEXKD_OK;
}
