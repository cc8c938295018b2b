#include "vexkd/select_boxes.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "checks.h"
#include "footprint.h"
#include "memory.h"

namespace vexkd {
namespace {

constexpr Access kInput = Access::kInput, kOutput = Access::kOutput;

size_t workspace_bytes(int32_t count) {
  return saturating_add(Scratch::block_bytes(product({count, 4})),
                        Scratch::block_bytes(product({count, sizeof(Footprint)})));
}

struct Candidates {
  const float* boxes;
  const int32_t* labels;
  const vexkd_class_rule* rules;
  Footprint* footprints;  // by box; of those considered so far whose rule asks for them

  const float* row(int32_t box) const { return boxes + int64_t{box} * VEXKD_BOX_SIZE; }
  const vexkd_class_rule& rule(int32_t box) const { return rules[labels[box]]; }

  bool usable(int32_t box) const {
    return rule(box).overlap == VEXKD_CIRCLE ? all_finite(row(box), {0, 1}) : all_finite(row(box), {0, 1, 3, 4, 6});
  }

  void consider(int32_t box) const {
    if (rule(box).overlap == VEXKD_ROTATED_IOU) footprints[box] = footprint(row(box), rule(box).scale);
  }

  bool overlap(int32_t one, int32_t other, double limit) const {
    if (rule(one).overlap == VEXKD_ROTATED_IOU) return iou(footprints[one], footprints[other]) > limit;
    const float *a = row(one), *b = row(other);
    return limit > 0 && squared_distance({a[0], a[1]}, {b[0], b[1]}) < limit * limit;
  }

  // True if `box` is a worse find of the object of `better`, a box of its class.
  bool repeats(int32_t box, int32_t better) const {
    return labels[box] == labels[better] && overlap(better, box, rule(box).limit);
  }

  // True if both are one object under two names. By both limits: neither class is found that close to its own kind, and
  // it does not matter then which of the two scores better.
  bool rivals(int32_t box, int32_t better) const {
    const vexkd_class_rule &one = rule(better), &other = rule(box);
    if (labels[box] == labels[better] || one.group != other.group || one.overlap != other.overlap) return false;
    return overlap(better, box, one.limit) && overlap(better, box, other.limit);
  }
};

bool known_overlap(const vexkd_class_rule& rule) {
  return rule.overlap == VEXKD_CIRCLE || rule.overlap == VEXKD_ROTATED_IOU;
}

}  // namespace
}  // namespace vexkd

vexkd_status vexkd_select_boxes_cpu_workspace(int32_t count, size_t* size) {
  if (size == nullptr) return VEXKD_NULL_POINTER;
  if (count < 0) return VEXKD_INVALID_ARGUMENT;
  *size = vexkd::workspace_bytes(count);
  return VEXKD_OK;
}

vexkd_status vexkd_select_boxes_cpu(const float* boxes, const float* scores, const int32_t* labels, int32_t count,
                                    float score_threshold, const vexkd_class_rule* rules, int32_t class_count,
                                    int32_t* kept, int32_t* kept_count, void* workspace, size_t workspace_size) {
  using namespace vexkd;
  if (count < 0 || class_count < 0) return VEXKD_INVALID_ARGUMENT;
  const size_t needed = workspace_bytes(count);
  vexkd_status status = check_workspace(workspace, workspace_size, needed, true);
  if (status != VEXKD_OK) return status;
  status = check_buffers({
      {boxes, product({count, VEXKD_BOX_SIZE, 4}), 4, kInput},
      {scores, product({count, 4}), 4, kInput},
      {labels, product({count, 4}), 4, kInput},
      {rules, product({class_count, sizeof(vexkd_class_rule)}), alignof(vexkd_class_rule), kInput},
      {kept, product({count, 4}), 4, kOutput},
      {kept_count, 4, 4, kOutput},
      workspace_buffer(workspace, needed),
  });
  if (status != VEXKD_OK) return status;
  if (!std::all_of(rules, rules + class_count, known_overlap)) return VEXKD_INVALID_ARGUMENT;
  Scratch scratch(workspace, needed);
  if (scratch.failed()) return VEXKD_OUT_OF_MEMORY;

  int32_t* const order = scratch.take<int32_t>(static_cast<size_t>(count));
  const Candidates candidates = {boxes, labels, rules, scratch.take<Footprint>(static_cast<size_t>(count))};
  const float least = std::max(score_threshold, std::numeric_limits<float>::min());
  int32_t* last = order;
  for (int32_t box = 0; box < count; ++box) {
    const bool known = labels[box] >= 0 && labels[box] < class_count;
    if (known && std::isfinite(scores[box]) && scores[box] >= least && candidates.usable(box)) *last++ = box;
  }
  std::sort(order, last,
            [&](int32_t a, int32_t b) { return scores[a] > scores[b] || (scores[a] == scores[b] && a < b); });

  int32_t* found = kept;
  for (const int32_t* box = order; box != last; ++box) {
    candidates.consider(*box);
    if (std::none_of(kept, found, [&](int32_t better) { return candidates.repeats(*box, better); })) *found++ = *box;
  }
  int32_t* stays = kept;
  for (const int32_t* box = kept; box != found; ++box) {
    if (std::none_of(kept, stays, [&](int32_t better) { return candidates.rivals(*box, better); })) *stays++ = *box;
  }
  std::fill(stays, kept + count, -1);
  *kept_count = static_cast<int32_t>(stays - kept);
  return VEXKD_OK;
}
