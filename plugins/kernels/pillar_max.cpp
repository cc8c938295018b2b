#include "vexkd/pillar_max.h"

#include <algorithm>
#include <limits>

#include "checks.h"
#include "cpu.h"
#include "memory.h"
#include "parallel.h"

// Forward: the rows of each cell become a linked list in ascending order. Then every task owns a span of cells: it
// flattens their lists, so that features can be fetched ahead, takes the maxima, and writes every channel's stretch of
// the output once.
namespace vexkd {
namespace {

constexpr int64_t kSpan = 256;     // cells of one task
constexpr int64_t kChannels = 64;  // channels at a time
constexpr int64_t kRows = 512;     // rows flattened at a time
constexpr int64_t kAhead = 8;      // rows fetched ahead

struct Lists {
  const int32_t* head;  // first row of a cell, or -1
  const int32_t* next;  // next row of the same cell, or -1
};

// Lists of the cells from `begin` to `end`. Walking the rows backwards puts the lowest in front.
void link_rows(const int32_t* cells, int64_t points, int64_t begin, int64_t end, int32_t* head, int32_t* next) {
  std::fill(head + begin, head + end, -1);
  for (int64_t row = points - 1; row >= 0; --row) {
    const int64_t cell = cells[row];
    if (cell < begin || cell >= end) continue;
    next[row] = head[cell];
    head[cell] = static_cast<int32_t>(row);
  }
}

constexpr float kLowest = -std::numeric_limits<float>::infinity();

// Rows of features, each with the place of its maxima.
struct Flat {
  int32_t row[kRows];
  int32_t place[kRows];
  int64_t size = 0;

  void add(int32_t new_row, int64_t new_place) {
    row[size] = new_row;
    place[size++] = static_cast<int32_t>(new_place);
  }
};

// Take the rows into their maxima, best (places, kChannels), from channel `first` on; `winner` may be null. NaN and
// -infinity are never greater than the lowest, so they are ignored.
template <typename T>
VEXKD_INLINE void take_rows(const T* features, int64_t channels, int64_t first, int64_t n, const Flat& flat,
                            float* best, int32_t* winner) {
  for (int64_t k = 0; k < flat.size; ++k) {
    if (k + kAhead < flat.size) {
      const T* ahead = features + flat.row[k + kAhead] * channels + first;
      for (int64_t c = 0; c < n; c += 64 / static_cast<int64_t>(sizeof(T))) __builtin_prefetch(ahead + c);
    }
    const int32_t index = flat.row[k];
    const T* row = features + index * channels + first;
    float* top = best + flat.place[k] * kChannels;
    if (winner == nullptr) {
      for (int64_t c = 0; c < n; ++c) {
        const float value = load(row[c]);
        top[c] = value > top[c] ? value : top[c];
      }
      continue;
    }
    int32_t* source = winner + flat.place[k] * kChannels;
    for (int64_t c = 0; c < n; ++c) {
      const float value = load(row[c]);
      source[c] = value > top[c] ? index : source[c];
      top[c] = value > top[c] ? value : top[c];
    }
  }
}

VEXKD_CLONES void take_float(const float* features, int64_t channels, int64_t first, int64_t n, const Flat& flat,
                             float* best, int32_t* winner) {
  take_rows(features, channels, first, n, flat, best, winner);
}

VEXKD_CLONES void take_half(const Half* features, int64_t channels, int64_t first, int64_t n, const Flat& flat,
                            float* best, int32_t* winner) {
  take_rows(features, channels, first, n, flat, best, winner);
}

void take(const float* features, int64_t channels, int64_t first, int64_t n, const Flat& flat, float* best,
          int32_t* winner) {
  take_float(features, channels, first, n, flat, best, winner);
}

void take(const Half* features, int64_t channels, int64_t first, int64_t n, const Flat& flat, float* best,
          int32_t* winner) {
  take_half(features, channels, first, n, flat, best, winner);
}

// One channel's stretch of an output: `empty` but for the filled cells.
template <typename T, typename From>
void write_stretch(T empty, const From* values, const int64_t* filled, int64_t count, int64_t n, bool streamed, T* to) {
  T stretch[kSpan];
  T* line = streamed ? stretch : to;
  std::fill(line, line + n, empty);
  for (int64_t k = 0; k < count; ++k) store(values[k * kChannels], line + filled[k]);
  if (streamed) stream_copy(to, line, static_cast<size_t>(n) * sizeof(T));
}

struct Plane {
  int64_t channels, cells;  // per sample
};

// Cells start .. start + n - 1 of one sample: all channels of bev and, if wanted, of argmax.
template <typename T>
void reduce_span(const T* features, const Lists& lists, const Plane& plane, int64_t sample, int64_t start, int64_t n,
                 bool streamed, T* bev, int32_t* argmax) {
  float best[kSpan * kChannels];
  int32_t winner[kSpan * kChannels];
  int64_t filled[kSpan], count = 0;
  const int32_t* head = lists.head + sample * plane.cells + start;
  for (int64_t i = 0; i < n; ++i) {
    if (head[i] >= 0) filled[count++] = i;
  }
  for (int64_t first = 0; first < plane.channels; first += kChannels) {
    const int64_t block = std::min(kChannels, plane.channels - first);
    std::fill(best, best + count * kChannels, kLowest);
    if (argmax != nullptr) std::fill(winner, winner + count * kChannels, -1);
    Flat flat;
    const auto flush = [&] {
      take(features, plane.channels, first, block, flat, best, argmax == nullptr ? nullptr : winner);
      flat.size = 0;
    };
    for (int64_t k = 0; k < count; ++k) {
      for (int32_t row = head[filled[k]]; row >= 0; row = lists.next[row]) {
        flat.add(row, k);
        if (flat.size == kRows) flush();
      }
    }
    flush();
    for (int64_t i = 0; i < count * kChannels; ++i) best[i] = best[i] == kLowest ? 0.0F : best[i] + 0.0F;  // no -0
    for (int64_t c = 0; c < block; ++c) {
      const int64_t offset = (sample * plane.channels + first + c) * plane.cells + start;
      write_stretch(T{}, best + c, filled, count, n, streamed, bev + offset);
      if (argmax != nullptr) write_stretch(-1, winner + c, filled, count, n, streamed, argmax + offset);
    }
  }
}

template <typename T>
void scatter_span(const T* grad_bev, const int32_t* argmax, int64_t points, const Plane& plane, int64_t sample,
                  int64_t start, int64_t n, T* grad_features) {
  for (int64_t c = 0; c < plane.channels; ++c) {
    const int64_t offset = (sample * plane.channels + c) * plane.cells + start;
    for (int64_t i = 0; i < n; ++i) {
      const int64_t row = argmax[offset + i];
      if (row >= 0 && row < points) grad_features[row * plane.channels + c] = grad_bev[offset + i];
    }
  }
}

// body(sample, first cell, cells) for every span of every sample.
template <typename Body>
void for_spans(int32_t threads, int64_t batch, int64_t cells, const Body& body) {
  const int64_t spans = ceil_divide(cells, kSpan);
  parallel_for(threads, batch * spans, [&](int64_t task) {
    const int64_t start = task % spans * kSpan;
    body(task / spans, start, std::min(kSpan, cells - start));
  });
}

size_t workspace_bytes(int32_t points, int32_t batch, int32_t height, int32_t width) {
  return Scratch::anywhere(saturating_add(Scratch::block_bytes(product({batch, height, width, 4})),
                                          Scratch::block_bytes(product({points, 4}))));
}

}  // namespace
}  // namespace vexkd

vexkd_status vexkd_pillar_max_cpu_workspace(vexkd_dtype dtype, int32_t points, int32_t channels, int32_t batch,
                                            int32_t height, int32_t width, int32_t with_argmax, size_t* size) {
  if (size == nullptr) return VEXKD_NULL_POINTER;
  if (with_argmax != 0 && with_argmax != 1) return VEXKD_INVALID_ARGUMENT;
  const vexkd_status status = vexkd::check_pillar_max_sizes(dtype, points, channels, batch, height, width);
  if (status != VEXKD_OK) return status;
  *size = vexkd::workspace_bytes(points, batch, height, width);
  return VEXKD_OK;
}

vexkd_status vexkd_pillar_max_cpu(const void* features, vexkd_dtype dtype, const int32_t* cells, int32_t points,
                                  int32_t channels, int32_t batch, int32_t height, int32_t width, void* bev,
                                  int32_t* argmax, int32_t threads, void* workspace, size_t workspace_size) {
  using namespace vexkd;
  vexkd_status status = check_pillar_max_sizes(dtype, points, channels, batch, height, width);
  if (status != VEXKD_OK) return status;
  const size_t needed = workspace_bytes(points, batch, height, width);
  status = check_workspace(workspace, workspace_size, needed, true);
  if (status != VEXKD_OK) return status;
  status = check_pillar_max(features, dtype, cells, points, channels, batch, height, width, bev, argmax, VEXKD_PLANAR,
                            workspace_buffer(workspace, needed));
  if (status != VEXKD_OK || channels == 0) return status;
  Scratch scratch(workspace, needed);
  if (scratch.failed()) return VEXKD_OUT_OF_MEMORY;

  const Plane plane = {channels, int64_t{height} * width};
  const int64_t all_cells = plane.cells * batch;
  int32_t* head = scratch.take<int32_t>(static_cast<size_t>(all_cells));
  int32_t* next = scratch.take<int32_t>(static_cast<size_t>(points));
  const int32_t workers = resolve_threads(threads);
  parallel_for(workers, workers, [&](int64_t part) {
    link_rows(cells, points, all_cells * part / workers, all_cells * (part + 1) / workers, head, next);
  });
  const Lists lists = {head, next};
  const size_t output_bytes = product({all_cells, channels, static_cast<int64_t>(dtype_size(dtype))});
  const bool streamed = output_bytes >= kStreamBytes;
  prefer_huge_pages(bev, output_bytes);
  if (argmax != nullptr) prefer_huge_pages(argmax, product({all_cells, channels, 4}));
  for_spans(workers, batch, plane.cells, [&](int64_t sample, int64_t start, int64_t n) {
    if (dtype == VEXKD_F32) {
      reduce_span(static_cast<const float*>(features), lists, plane, sample, start, n, streamed,
                  static_cast<float*>(bev), argmax);
    } else {
      reduce_span(static_cast<const Half*>(features), lists, plane, sample, start, n, streamed, static_cast<Half*>(bev),
                  argmax);
    }
    if (streamed) stream_fence();
  });
  return VEXKD_OK;
}

vexkd_status vexkd_pillar_max_backward_cpu(const void* grad_bev, vexkd_dtype dtype, const int32_t* argmax,
                                           int32_t points, int32_t channels, int32_t batch, int32_t height,
                                           int32_t width, void* grad_features, int32_t threads) {
  using namespace vexkd;
  const vexkd_status status =
      check_pillar_max_backward(grad_bev, dtype, argmax, points, channels, batch, height, width, grad_features);
  if (status != VEXKD_OK || points == 0 || channels == 0) return status;
  const Plane plane = {channels, int64_t{height} * width};
  const int32_t workers = resolve_threads(threads);
  constexpr int64_t kClear = 1 << 18;
  const int64_t bytes = int64_t{points} * channels * static_cast<int64_t>(dtype_size(dtype));
  prefer_huge_pages(grad_features, static_cast<size_t>(bytes));
  parallel_for(workers, ceil_divide(bytes, kClear), [&](int64_t task) {
    char* first = static_cast<char*>(grad_features) + task * kClear;
    std::fill(first, first + std::min(kClear, bytes - task * kClear), char{0});
  });
  for_spans(workers, batch, plane.cells, [&](int64_t sample, int64_t start, int64_t n) {
    if (dtype == VEXKD_F32) {
      scatter_span(static_cast<const float*>(grad_bev), argmax, points, plane, sample, start, n,
                   static_cast<float*>(grad_features));
    } else {
      scatter_span(static_cast<const Half*>(grad_bev), argmax, points, plane, sample, start, n,
                   static_cast<Half*>(grad_features));
    }
  });
  return VEXKD_OK;
}
