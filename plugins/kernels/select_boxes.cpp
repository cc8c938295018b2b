#include "vexkd/select_boxes.h"

#include <algorithm>
#include <limits>

#include "checks.h"
#include "vexkd/nms.h"

namespace vexkd {
namespace {

constexpr Access kInput = Access::kInput, kOutput = Access::kOutput;

struct Names {
  const float* boxes;
  const int32_t* labels;
  const int32_t* groups;
  const float* radii;

  // True if two boxes are one object under two names. The smaller radius: neither class is found that close to its own
  // kind, and it does not matter then which of the two scores better.
  bool rivals(int32_t one, int32_t other) const {
    const int32_t first = labels[one], second = labels[other];
    if (first == second || groups[first] != groups[second]) return false;
    const double radius = radii[first], other_radius = radii[second];
    if (!(radius > 0) || !(other_radius > 0)) return false;
    const float* a = boxes + int64_t{one} * VEXKD_BOX_SIZE;
    const float* b = boxes + int64_t{other} * VEXKD_BOX_SIZE;
    const double x = static_cast<double>(a[0]) - b[0], y = static_cast<double>(a[1]) - b[1];
    const double reach = std::min(radius, other_radius);
    return x * x + y * y < reach * reach;
  }
};

}  // namespace
}  // namespace vexkd

vexkd_status vexkd_select_boxes_cpu_workspace(int32_t count, size_t* size) {
  return vexkd_nms_cpu_workspace(count, size);
}

vexkd_status vexkd_select_boxes_cpu(const float* boxes, const float* scores, const int32_t* labels, int32_t count,
                                    float score_threshold, const int32_t* groups, const float* radii,
                                    int32_t class_count, int32_t* kept, int32_t* kept_count, void* workspace,
                                    size_t workspace_size) {
  using namespace vexkd;
  if (count < 0 || class_count < 0) return VEXKD_INVALID_ARGUMENT;
  size_t needed;
  vexkd_status status = vexkd_nms_cpu_workspace(count, &needed);
  if (status != VEXKD_OK) return status;
  // What suppression does not check: it knows nothing of the groups.
  status = check_buffers({
      {groups, product({class_count, 4}), 4, kInput},
      {kept, product({count, 4}), 4, kOutput},
      {kept_count, 4, 4, kOutput},
      workspace_buffer(workspace, needed, 1),
  });
  if (status != VEXKD_OK) return status;
  const float least = std::max(score_threshold, std::numeric_limits<float>::min());
  status = vexkd_nms_cpu(boxes, scores, labels, count, VEXKD_CIRCLE, radii, class_count, least, kept, kept_count,
                         workspace, workspace_size);
  if (status != VEXKD_OK) return status;
  const Names names = {boxes, labels, groups, radii};
  int32_t* const end = kept + *kept_count;
  int32_t* stays = kept;
  for (const int32_t* candidate = kept; candidate != end; ++candidate) {
    const int32_t box = *candidate;
    if (std::none_of(kept, stays, [&](int32_t better) { return names.rivals(better, box); })) *stays++ = box;
  }
  std::fill(stays, end, -1);
  *kept_count = static_cast<int32_t>(stays - kept);
  return VEXKD_OK;
}
