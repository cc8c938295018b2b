#include "selection.hpp"

#include <algorithm>

#include "failure.hpp"
#include "text.hpp"
#include "vexkd/select_boxes.h"

namespace vexkd::runtime {

BoxSelection::BoxSelection(const SelectionSection& selection, int32_t count, float score_threshold)
    : rules_(selection.rules), score_threshold_(score_threshold), kept_(static_cast<size_t>(count)) {
  const vexkd_status status = vexkd_select_boxes_cpu_workspace(count, &workspace_size_);
  if (status != VEXKD_OK) fail(VEXKD_DAMAGED, text("the manifest's selection: ", vexkd_status_string(status)));
  workspace_ = reserve(workspace_size_);
}

void BoxSelection::select(const float* boxes, const float* scores, const int32_t* labels,
                          vexkd_detections& detections) {
  int32_t kept_count = 0;
  const vexkd_status status = vexkd_select_boxes_cpu(
      boxes, scores, labels, static_cast<int32_t>(kept_.size()), score_threshold_, rules_.data(),
      static_cast<int32_t>(rules_.size()), kept_.data(), &kept_count, workspace_.get(), workspace_size_);
  if (status != VEXKD_OK) {
    fail(VEXKD_BACKEND_FAILED,
         text("the model's boxes cannot be selected (a label out of range?): ", vexkd_status_string(status)));
  }
  const int32_t count = std::min(kept_count, detections.capacity);
  for (int32_t i = 0; i < count; ++i) {
    const float* const box = boxes + static_cast<ptrdiff_t>(kept_[i]) * VEXKD_BOX_SIZE;
    detections.boxes[i] = {box[0], box[1], box[2], box[3],           box[4],          box[5],
                           box[6], box[7], box[8], scores[kept_[i]], labels[kept_[i]]};
  }
  detections.count = count;
  detections.dropped_boxes = kept_count - count;
}

}  // namespace vexkd::runtime
