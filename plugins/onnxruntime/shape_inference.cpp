#include "shape_inference.hpp"

#include "call.hpp"

namespace vexkd::ort {

bool ShapeContext::succeeded(Status* status) const {
  api_.call(slot::ReleaseStatus, status);
  return status == nullptr;
}

const TensorInfo* ShapeContext::input(size_t index) const {
  TensorInfo* info = nullptr;
  return succeeded(api_.call(slot::ShapeInferContext_GetInputTypeShape, context_, index, &info)) ? info : nullptr;
}

Dimension ShapeContext::dimension(size_t index, size_t axis) const {
  const TensorInfo* const info = input(index);
  size_t rank = 0;
  if (info == nullptr || !succeeded(api_.call(slot::GetDimensionsCount, info, &rank))) return {};
  if (axis >= rank || rank > Tensor::kMaxRank) return {};
  int64_t sizes[Tensor::kMaxRank];
  const char* symbols[Tensor::kMaxRank];
  if (!succeeded(api_.call(slot::GetDimensions, info, sizes, rank))) return {};
  if (sizes[axis] >= 0) return {sizes[axis]};
  if (!succeeded(api_.call(slot::GetSymbolicDimensions, info, symbols, rank))) return {};
  return {-1, symbols[axis]};
}

ElementType ShapeContext::type(size_t index) const {
  const TensorInfo* const info = input(index);
  ElementType type = ElementType::kUndefined;
  if (info != nullptr) succeeded(api_.call(slot::GetTensorElementType, info, &type));
  return type;
}

Dimension ShapeContext::size_attribute(const char* name) const {
  const OpAttribute* attribute = nullptr;
  if (!succeeded(api_.call(slot::ShapeInferContext_GetAttribute, context_, name, &attribute))) return {};
  int64_t value = 0;
  size_t written = 0;
  if (!succeeded(api_.call(slot::ReadOpAttr, attribute, AttributeType::kInt, &value, sizeof(value), &written)) ||
      value < 1) {
    return {};
  }
  return {value};
}

std::vector<float> ShapeContext::floats_attribute(const char* name) const {
  const OpAttribute* attribute = nullptr;
  if (!succeeded(api_.call(slot::ShapeInferContext_GetAttribute, context_, name, &attribute))) return {};
  // The first call is refused for want of room, and says how many bytes there are.
  size_t bytes = 0;
  succeeded(api_.call(slot::ReadOpAttr, attribute, AttributeType::kFloats, nullptr, 0, &bytes));
  std::vector<float> values(bytes / sizeof(float));
  if (!succeeded(api_.call(slot::ReadOpAttr, attribute, AttributeType::kFloats, values.data(), bytes, &bytes))) {
    return {};
  }
  return values;
}

void ShapeContext::set_output(size_t index, ElementType type, std::initializer_list<Dimension> shape) const {
  int64_t sizes[Tensor::kMaxRank];
  const char* symbols[Tensor::kMaxRank];
  size_t rank = 0;
  for (const Dimension& dimension : shape) {
    sizes[rank] = dimension.size;
    symbols[rank++] = dimension.symbol;
  }
  TensorInfo* info = nullptr;
  if (!succeeded(api_.call(slot::CreateTensorTypeAndShapeInfo, &info))) return;
  if (succeeded(api_.call(slot::SetTensorElementType, info, type)) &&
      succeeded(api_.call(slot::SetDimensions, info, sizes, rank)) &&
      succeeded(api_.call(slot::SetSymbolicDimensions, info, symbols, rank))) {
    succeeded(api_.call(slot::ShapeInferContext_SetOutputTypeShape, context_, index, info));
  }
  api_.call(slot::ReleaseTensorTypeAndShapeInfo, info);
}

void ShapeContext::set_map(size_t index, ElementType type, const Dimension& channels) const {
  set_output(index, type, {{1}, channels, size_attribute("height"), size_attribute("width")});
}

}  // namespace vexkd::ort
