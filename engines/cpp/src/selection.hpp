// From the decoded boxes of a network to those that are reported.
#pragma once

#include <vector>

#include "aligned.hpp"
#include "manifest.hpp"
#include "vexkd/perception.h"

namespace vexkd::runtime {

class BoxSelection {
 public:
  // count: boxes that the network decodes.
  BoxSelection(const SelectionSection& selection, int32_t count, float score_threshold);

  // boxes (count, 9), scores (count), labels (count) to the caller's memory, best first.
  void select(const float* boxes, const float* scores, const int32_t* labels, vexkd_detections& detections);

  float score_threshold() const { return score_threshold_; }

 private:
  std::vector<vexkd_class_rule> rules_;
  float score_threshold_;
  std::vector<int32_t> kept_;
  Memory workspace_;
  size_t workspace_size_;
};

}  // namespace vexkd::runtime
