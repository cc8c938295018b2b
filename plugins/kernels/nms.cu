// nms in three launches, without a sort and without asking the device for anything.
// Rank: every box counts the boxes that come before it, so that equal scores keep their order. Compare: a block takes
// 16 x 64 pairs of ranks; cheap tests first, then the block shares the few polygons that are left to intersect; one bit
// per pair. Sweep: one block walks the ranks 64 at a time: a thread settles who stays among them, then all of the block
// strike out what gives way to them. Geometry is binary64 without fused multiply-add, as on the CPU.
#include <cmath>

#include "cuda_common.cuh"
#include "vexkd/nms.h"

namespace vexkd::device {
namespace {

using Word = unsigned long long;

constexpr int kRows = 16;  // ranks of a block's rows
constexpr int kPairs = kRows * kNmsWord;
constexpr int kCorners = 8;                // four half planes cut a quadrilateral to eight corners at most
constexpr uint32_t kDropped = 0xFFFFFFFF;  // beyond the key of every finite score

struct Rule {
  vexkd_overlap overlap;
  int32_t count, group_count, words;
  float score_threshold;
};

__device__ double multiply(double a, double b) { return __dmul_rn(a, b); }
__device__ double add(double a, double b) { return __dadd_rn(a, b); }
__device__ double subtract(double a, double b) { return __dsub_rn(a, b); }

// Smaller is better; kDropped for a box that is no candidate.
__device__ uint32_t key_of(const float* boxes, const float* scores, const int32_t* groups, const Rule& rule,
                           int64_t box) {
  const float score = scores[box];
  const int32_t group = groups[box];
  if (!isfinite(score) || !(score >= rule.score_threshold) || group < 0 || group >= rule.group_count) return kDropped;
  const float* const row = boxes + box * VEXKD_BOX_SIZE;
  bool finite = isfinite(row[0]) && isfinite(row[1]);
  if (rule.overlap == VEXKD_ROTATED_IOU) finite = finite && isfinite(row[3]) && isfinite(row[4]) && isfinite(row[6]);
  if (!finite) return kDropped;
  const uint32_t bits = __float_as_uint(score + 0.0F);  // -0 becomes +0
  return (bits & 0x80000000U) != 0 ? bits : ~(bits | 0x80000000U);
}

__device__ BoxFootprint footprint_of(const float* row, int32_t group, vexkd_overlap overlap) {
  BoxFootprint footprint = {};
  footprint.group = group;
  footprint.centre_x = row[0];
  footprint.centre_y = row[1];
  if (overlap != VEXKD_ROTATED_IOU || !(row[3] > 0) || !(row[4] > 0)) return footprint;
  const double half_length = multiply(row[3], 0.5), half_width = multiply(row[4], 0.5);
  const double yaw = row[6], cosine = cos(yaw), sine = sin(yaw);
  for (int i = 0; i < 4; ++i) {
    const double x = i == 0 || i == 3 ? half_length : -half_length, y = i < 2 ? half_width : -half_width;
    footprint.x[i] = add(footprint.centre_x, subtract(multiply(cosine, x), multiply(sine, y)));
    footprint.y[i] = add(footprint.centre_y, add(multiply(sine, x), multiply(cosine, y)));
  }
  footprint.area = multiply(multiply(4, half_length), half_width);
  footprint.radius = __dsqrt_rn(add(multiply(half_length, half_length), multiply(half_width, half_width)));
  return footprint;
}

__global__ void __launch_bounds__(kBlock)
    nms_rank(const float* __restrict__ boxes, const float* __restrict__ scores, const int32_t* __restrict__ groups,
             Rule rule, int32_t* __restrict__ order, BoxFootprint* __restrict__ footprints) {
  __shared__ uint32_t keys[kBlock];
  const int thread = static_cast<int>(threadIdx.x);
  const int32_t box = static_cast<int32_t>(blockIdx.x) * kBlock + thread;
  const uint32_t own = box < rule.count ? key_of(boxes, scores, groups, rule, box) : kDropped;
  int32_t place = 0;
  for (int32_t first = 0; first < rule.count; first += kBlock) {
    if (first + thread < rule.count) keys[thread] = key_of(boxes, scores, groups, rule, first + thread);
    __syncthreads();
    const int n = min(kBlock, rule.count - first);
    for (int i = 0; i < n; ++i) place += keys[i] < own || (keys[i] == own && first + i < box) ? 1 : 0;
    __syncthreads();
  }
  if (box >= rule.count) return;
  order[place] = own == kDropped ? -1 : box;
  if (own == kDropped) return;
  footprints[place] = footprint_of(boxes + int64_t{box} * VEXKD_BOX_SIZE, groups[box], rule.overlap);
}

struct Polygon {
  double x[kCorners], y[kCorners];
  int size;

  __device__ void add_corner(double corner_x, double corner_y) {
    if (size == kCorners) return;
    x[size] = corner_x;
    y[size++] = corner_y;
  }
};

// Twice the signed area of the triangle (a, b, p): positive left of the line from a to b.
__device__ double side(double a_x, double a_y, double b_x, double b_y, double x, double y) {
  return subtract(multiply(subtract(b_x, a_x), subtract(y, a_y)), multiply(subtract(b_y, a_y), subtract(x, a_x)));
}

// The part of `polygon` left of the line from a to b (Sutherland and Hodgman).
__device__ Polygon clip(const Polygon& polygon, double a_x, double a_y, double b_x, double b_y) {
  Polygon result;
  result.size = 0;
  for (int i = 0; i < polygon.size; ++i) {
    const int next = i + 1 == polygon.size ? 0 : i + 1;
    const double start = side(a_x, a_y, b_x, b_y, polygon.x[i], polygon.y[i]);
    const double end = side(a_x, a_y, b_x, b_y, polygon.x[next], polygon.y[next]);
    if (start >= 0) result.add_corner(polygon.x[i], polygon.y[i]);
    if ((start >= 0) != (end >= 0)) {
      const double share = __ddiv_rn(start, subtract(start, end));
      result.add_corner(add(polygon.x[i], multiply(share, subtract(polygon.x[next], polygon.x[i]))),
                        add(polygon.y[i], multiply(share, subtract(polygon.y[next], polygon.y[i]))));
    }
  }
  return result;
}

__device__ double area_of(const Polygon& polygon) {
  double twice = 0;
  for (int i = 1; i + 1 < polygon.size; ++i) {
    twice =
        add(twice, side(polygon.x[0], polygon.y[0], polygon.x[i], polygon.y[i], polygon.x[i + 1], polygon.y[i + 1]));
  }
  return fmax(0.0, multiply(twice, 0.5));
}

__device__ double squared_distance(const BoxFootprint& one, const BoxFootprint& other) {
  const double x = subtract(one.centre_x, other.centre_x), y = subtract(one.centre_y, other.centre_y);
  return add(multiply(x, x), multiply(y, y));
}

// True if the intersection is empty by the circles around the boxes, or one has no area.
__device__ bool apart(const BoxFootprint& one, const BoxFootprint& other) {
  const double reach = add(one.radius, other.radius);
  return one.area == 0 || other.area == 0 || squared_distance(one, other) > multiply(reach, reach);
}

__device__ double iou(const BoxFootprint& one, const BoxFootprint& other) {
  Polygon common;
  common.size = 4;
  for (int i = 0; i < 4; ++i) {
    common.x[i] = one.x[i];
    common.y[i] = one.y[i];
  }
  for (int i = 0; i < 4 && common.size > 0; ++i) {
    const int next = (i + 1) % 4;
    common = clip(common, other.x[i], other.y[i], other.x[next], other.y[next]);
  }
  const double shared = fmin(fmin(area_of(common), one.area), other.area);
  return __ddiv_rn(shared, subtract(add(one.area, other.area), shared));
}

__global__ void __launch_bounds__(kBlock)
    nms_compare(const int32_t* __restrict__ order, const BoxFootprint* __restrict__ footprints,
                const float* __restrict__ thresholds, Rule rule, uint64_t* __restrict__ overlaps) {
  __shared__ Word bits[kRows];
  __shared__ int32_t pairs[kPairs];  // those whose polygons must be intersected
  __shared__ int32_t pair_count;
  const int thread = static_cast<int>(threadIdx.x);
  const int32_t first_row = static_cast<int32_t>(blockIdx.y) * kRows;
  const int32_t first_column = static_cast<int32_t>(blockIdx.x) * kNmsWord;
  // Nobody gives way to a later rank, and beyond the candidates there is nobody.
  if (first_column + kNmsWord <= first_row + 1 || order[first_row] < 0) return;
  if (thread < kRows) bits[thread] = 0;
  if (thread == 0) pair_count = 0;
  __syncthreads();
  for (int i = thread; i < kPairs; i += kBlock) {
    const int32_t row = first_row + i / kNmsWord, column = first_column + i % kNmsWord;
    if (column <= row || column >= rule.count || order[column] < 0) continue;  // then row is a candidate too
    const BoxFootprint& better = footprints[row];
    const BoxFootprint& box = footprints[column];
    if (better.group != box.group) continue;
    const double threshold = thresholds[box.group];
    bool yields = false;
    if (rule.overlap == VEXKD_CIRCLE) {
      yields = threshold > 0 && squared_distance(better, box) < multiply(threshold, threshold);
    } else if (apart(better, box)) {
      yields = 0 > threshold;
    } else {
      pairs[atomicAdd(&pair_count, 1)] = i;
    }
    if (yields) atomicOr(bits + i / kNmsWord, Word{1} << i % kNmsWord);
  }
  __syncthreads();
  for (int k = thread; k < pair_count; k += kBlock) {
    const int32_t i = pairs[k];
    const BoxFootprint& better = footprints[first_row + i / kNmsWord];
    const BoxFootprint& box = footprints[first_column + i % kNmsWord];
    const double threshold = thresholds[box.group];
    if (iou(better, box) > threshold) atomicOr(bits + i / kNmsWord, Word{1} << i % kNmsWord);
  }
  __syncthreads();
  if (thread < kRows && first_row + thread < rule.count) {
    overlaps[int64_t{first_row + thread} * rule.words + blockIdx.x] = bits[thread];
  }
}

// One block. Candidates are the first ranks, so their number is found by bisection.
__global__ void __launch_bounds__(kBlock)
    nms_sweep(const int32_t* __restrict__ order, const uint64_t* __restrict__ overlaps, Rule rule,
              int32_t* __restrict__ kept, int32_t* __restrict__ kept_count) {
  __shared__ Word struck[VEXKD_NMS_CUDA_BOXES / kNmsWord];
  __shared__ Word rows[kNmsWord];
  __shared__ Word staying;
  const int thread = static_cast<int>(threadIdx.x);
  int32_t candidates = 0, beyond = rule.count;
  while (candidates < beyond) {
    const int32_t middle = candidates + (beyond - candidates) / 2;
    if (order[middle] >= 0) {
      candidates = middle + 1;
    } else {
      beyond = middle;
    }
  }
  const int32_t words = (candidates + kNmsWord - 1) / kNmsWord;
  for (int32_t word = thread; word < words; word += kBlock) struck[word] = 0;
  int32_t total = 0;
  for (int32_t word = 0; word < words; ++word) {
    const int32_t first = word * kNmsWord, n = min(kNmsWord, candidates - first);
    if (thread < n) rows[thread] = overlaps[int64_t{first + thread} * rule.words + word];
    __syncthreads();
    if (thread == 0) {
      Word left = ~struck[word], stay = 0;
      if (n < kNmsWord) left &= (Word{1} << n) - 1;
      while (left != 0) {
        const int best = __ffsll(static_cast<long long>(left)) - 1;
        stay |= Word{1} << best;
        left &= ~(rows[best] | Word{1} << best);
      }
      staying = stay;
    }
    __syncthreads();
    const Word stay = staying;
    if (thread < n && (stay >> thread & 1) != 0) {
      kept[total + __popcll(stay & ((Word{1} << thread) - 1))] = order[first + thread];
    }
    total += __popcll(stay);
    const int32_t later = words - word - 1;
    for (int32_t i = thread; i < n * later; i += kBlock) {
      const int32_t row = i / later, other = word + 1 + i % later;
      if ((stay >> row & 1) == 0) continue;
      const Word gives_way = overlaps[int64_t{first + row} * rule.words + other];
      if (gives_way != 0) atomicOr(struck + other, gives_way);
    }
    __syncthreads();
  }
  for (int32_t place = total + thread; place < rule.count; place += kBlock) kept[place] = -1;
  if (thread == 0) *kept_count = total;
}

}  // namespace
}  // namespace vexkd::device

vexkd_status vexkd_nms_cuda(const float* boxes, const float* scores, const int32_t* groups, int32_t count,
                            vexkd_overlap overlap, const float* thresholds, int32_t group_count, float score_threshold,
                            int32_t* kept, int32_t* kept_count, void* workspace, size_t workspace_size,
                            void* stream_pointer) {
  using namespace vexkd;
  using namespace vexkd::device;
  if (count < 0) return VEXKD_INVALID_ARGUMENT;
  if (count > VEXKD_NMS_CUDA_BOXES) return VEXKD_TOO_LARGE;
  const NmsWorkspace plan = plan_nms(workspace, count);
  VEXKD_TRY(check_workspace(workspace, workspace_size, plan.size, false));
  VEXKD_TRY(check_suppression(boxes, scores, groups, count, overlap, thresholds, group_count, kept, kept_count,
                              workspace_buffer(workspace, plan.size)));

  const auto stream = static_cast<cudaStream_t>(stream_pointer);
  const Rule rule{overlap, count, group_count, static_cast<int32_t>(ceil_divide(count, kNmsWord)), score_threshold};
  if (count > 0) {
    const dim3 grid(static_cast<unsigned>(rule.words), static_cast<unsigned>(ceil_divide(count, kRows)));
    nms_rank<<<blocks_for(count), kBlock, 0, stream>>>(boxes, scores, groups, rule, plan.order, plan.footprints);
    VEXKD_TRY(launched());
    nms_compare<<<grid, kBlock, 0, stream>>>(plan.order, plan.footprints, thresholds, rule, plan.overlaps);
    VEXKD_TRY(launched());
  }
  nms_sweep<<<1, kBlock, 0, stream>>>(plan.order, plan.overlaps, rule, kept, kept_count);
  return launched();
}
