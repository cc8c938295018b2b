// What an operator wants of its tensors, stated once: types, layouts and shapes, and the line that says what is wrong.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "plugin_api.h"

namespace vexkd {

/// Elements of a tensor. kReal: FP32 or FP16, the same for all kReal tensors of a node. kBytes: those of uint8 in an
/// INT8 tensor, for TensorRT gives plugins no UINT8.
enum class Element { kReal, kFloat, kHalf, kInt, kBytes };

/// One dimension: a number, or a symbol that stands for the same number wherever the operator's inputs have it; an
/// output may have so many times that number.
struct Extent {
  Extent() = default;
  Extent(int64_t number) noexcept : value(number) {}
  Extent(char const* name, int64_t times = 1) noexcept : symbol(name), factor(times) {}

  char const* symbol = nullptr;
  int64_t value = -1;
  int64_t factor = 1;
};

struct Shape {
  static constexpr int32_t kMaxRank = 4;

  Shape(std::initializer_list<Extent> list) noexcept {
    for (Extent const& extent : list) extents[rank++] = extent;
  }

  int32_t rank = 0;
  Extent extents[kMaxRank];
};

struct TensorRule {
  char const* name;
  Element element;
  Shape shape;
  bool packs = false;  ///< in FP16, VEXKD_PACKED8 as well as VEXKD_PLANAR
};

/// The rules of one operator: its inputs, then its outputs.
struct OperatorRules {
  char const* operator_name;
  TensorRule const* tensors;
  int32_t inputs, outputs;

  /// True if the types are those of the inputs; else the first that is not is logged, with those that it may have.
  bool accept_types(trt::DataType const* types) const noexcept;

  /// True if no dimension contradicts the rules; else the first tensor that does is logged, with the shape expected.
  /// `shapes` are those of the inputs; dimensions of -1 are unknown and pass, unless all must be known.
  bool accept_shapes(trt::Dims const* shapes, bool all_known) const noexcept;

  /// True if the tensor at `position` may have its type and layout, given those of the tensors before it. Silent.
  bool support(int32_t position, trt::DynamicPluginTensorDesc const* tensors) const noexcept;

  /// Types of the outputs, from those of the inputs, which must have been accepted.
  void output_types(trt::DataType const* inputs, trt::DataType* outputs) const noexcept;

  /// Shapes of the outputs: each symbol is the dimension of the input that has it.
  void output_shapes(trt::DimsExprs const* inputs, trt::DimsExprs* outputs, trt::IExprBuilder& builder) const noexcept;

 private:
  int32_t first_real() const noexcept;
  void log_refusal(char const* reason) const noexcept;
};

}  // namespace vexkd
