#include "vexkd/nms.h"

#include <algorithm>
#include <cmath>

#include "checks.h"
#include "footprint.h"
#include "memory.h"
#include "parallel.h"

namespace vexkd {
namespace {

constexpr Access kInput = Access::kInput, kOutput = Access::kOutput;

size_t workspace_bytes(int32_t count) {
  return Scratch::anywhere(saturating_add(Scratch::block_bytes(product({count, 4})),
                                          Scratch::block_bytes(product({count, sizeof(Footprint)}))));
}

struct Suppression {
  const float* boxes;
  const int32_t* groups;
  vexkd_overlap overlap;
  const float* thresholds;
  Footprint* footprints;  // by box; of those considered so far

  bool usable(int32_t box) const {
    const float* row = boxes + int64_t{box} * VEXKD_BOX_SIZE;
    return overlap == VEXKD_CIRCLE ? all_finite(row, {0, 1}) : all_finite(row, {0, 1, 3, 4, 6});
  }

  // True if `box` gives way to the kept box `better` of its group.
  bool yields(int32_t box, int32_t better) const {
    const double threshold = thresholds[groups[box]];
    if (overlap == VEXKD_ROTATED_IOU) return iou(footprints[better], footprints[box]) > threshold;
    const float* a = boxes + int64_t{better} * VEXKD_BOX_SIZE;
    const float* b = boxes + int64_t{box} * VEXKD_BOX_SIZE;
    return threshold > 0 && squared_distance({a[0], a[1]}, {b[0], b[1]}) < threshold * threshold;
  }
};

}  // namespace
}  // namespace vexkd

vexkd_status vexkd_nms_cpu_workspace(int32_t count, size_t* size) {
  if (size == nullptr) return VEXKD_NULL_POINTER;
  if (count < 0) return VEXKD_INVALID_ARGUMENT;
  *size = vexkd::workspace_bytes(count);
  return VEXKD_OK;
}

vexkd_status vexkd_nms_cpu(const float* boxes, const float* scores, const int32_t* groups, int32_t count,
                           vexkd_overlap overlap, const float* thresholds, int32_t group_count, float score_threshold,
                           int32_t* kept, int32_t* kept_count, void* workspace, size_t workspace_size) {
  using namespace vexkd;
  if (count < 0) return VEXKD_INVALID_ARGUMENT;
  const size_t needed = workspace_bytes(count);
  vexkd_status status = check_workspace(workspace, workspace_size, needed, true);
  if (status != VEXKD_OK) return status;
  status = check_suppression(boxes, scores, groups, count, overlap, thresholds, group_count, kept, kept_count,
                             workspace_buffer(workspace, needed));
  if (status != VEXKD_OK) return status;
  Scratch scratch(workspace, needed);
  if (scratch.failed()) return VEXKD_OUT_OF_MEMORY;

  int32_t* order = scratch.take<int32_t>(static_cast<size_t>(count));
  const Suppression suppression = {boxes, groups, overlap, thresholds,
                                   scratch.take<Footprint>(static_cast<size_t>(count))};
  int32_t candidates = 0;
  for (int32_t box = 0; box < count; ++box) {
    const bool known = groups[box] >= 0 && groups[box] < group_count;
    const bool scores_enough = std::isfinite(scores[box]) && scores[box] >= score_threshold;
    if (known && scores_enough && suppression.usable(box)) order[candidates++] = box;
  }
  std::sort(order, order + candidates,
            [&](int32_t a, int32_t b) { return scores[a] > scores[b] || (scores[a] == scores[b] && a < b); });
  int32_t stays = 0;
  for (int32_t i = 0; i < candidates; ++i) {
    const int32_t box = order[i];
    if (overlap == VEXKD_ROTATED_IOU) {
      suppression.footprints[box] = footprint(boxes + int64_t{box} * VEXKD_BOX_SIZE);
    }
    const bool dropped = std::any_of(kept, kept + stays, [&](int32_t better) {
      return groups[better] == groups[box] && suppression.yields(box, better);
    });
    if (!dropped) kept[stays++] = box;
  }
  std::fill(kept + stays, kept + count, -1);
  *kept_count = stays;
  return VEXKD_OK;
}

vexkd_status vexkd_rotated_iou_cpu(const float* first, int32_t first_count, const float* second, int32_t second_count,
                                   float* result, int32_t threads) {
  using namespace vexkd;
  if (first_count < 0 || second_count < 0) return VEXKD_INVALID_ARGUMENT;
  const vexkd_status status = check_buffers({
      {first, product({first_count, VEXKD_BOX_SIZE, 4}), 4, kInput},
      {second, product({second_count, VEXKD_BOX_SIZE, 4}), 4, kInput},
      {result, product({first_count, second_count, 4}), 4, kOutput},
  });
  if (status != VEXKD_OK) return status;
  parallel_for(resolve_threads(threads), first_count, [&](int64_t row) {
    const Footprint one = footprint(first + row * VEXKD_BOX_SIZE);
    for (int64_t column = 0; column < second_count; ++column) {
      const Footprint other = footprint(second + column * VEXKD_BOX_SIZE);
      result[row * second_count + column] = static_cast<float>(iou(one, other));
    }
  });
  return VEXKD_OK;
}
