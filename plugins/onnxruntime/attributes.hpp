// Attributes of a node, read and checked when its kernel is made.
#pragma once

#include <vector>

#include "ort_api.h"
#include "vexkd/types.h"

namespace vexkd::ort {

class Attributes {
 public:
  Attributes(const Api& api, const KernelInfo* info) : api_(api), info_(info) {}

  /// A positive integer that fits the kernels' sizes; throws Failure for what is missing or another.
  int32_t size(const char* name) const;
  /// Exactly `count` numbers; throws Failure for what is missing or another.
  void floats(const char* name, float* values, size_t count) const;
  /// As many as there are, one or more; throws Failure for what is missing or another.
  std::vector<float> floats(const char* name) const;
  /// Of the attributes range (6 floats) and cell (2 floats); throws Failure for what is no grid.
  vexkd_grid grid() const;

 private:
  const Api& api_;
  const KernelInfo* info_;
};

/// Attributes of PillarMax and BevPool: cells of the map along y and x, fewer than 2^31.
struct MapSize {
  explicit MapSize(const Attributes& attributes);
  int32_t height;
  int32_t width;
};

}  // namespace vexkd::ort
