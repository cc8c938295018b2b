// Shapes of outputs before a model runs, so that what follows our nodes is planned with known sizes.
#pragma once

#include <initializer_list>
#include <vector>

#include "ort_api.h"

namespace vexkd::ort {

/// A size, or -1 with the symbol that stands for it ("" for none).
struct Dimension {
  int64_t size = -1;
  const char* symbol = "";
};

/// What may be asked and told while ONNX Runtime infers shapes. It drops the status of the whole, so nothing here
/// fails: what is not known stays unknown, and a node that is wrong is refused when its kernel is made.
class ShapeContext {
 public:
  ShapeContext(const Api& api, ShapeInference* context) : api_(api), context_(context) {}

  Dimension dimension(size_t input, size_t axis) const;
  ElementType type(size_t input) const;
  Dimension size_attribute(const char* name) const;
  /// Empty where it is none.
  std::vector<float> floats_attribute(const char* name) const;
  void set_output(size_t index, ElementType type, std::initializer_list<Dimension> shape) const;
  /// (1, channels, height, width), the last two from the attributes.
  void set_map(size_t index, ElementType type, const Dimension& channels) const;

 private:
  bool succeeded(Status* status) const;
  const TensorInfo* input(size_t index) const;

  const Api& api_;
  ShapeInference* context_;
};

}  // namespace vexkd::ort
