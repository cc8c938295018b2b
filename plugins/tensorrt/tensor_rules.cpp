#include "tensor_rules.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <iterator>

#include "logging.hpp"

namespace vexkd {
namespace {

// Text of limited length; what does not fit is cut off.
class Text {
 public:
  [[gnu::format(printf, 2, 3)]] void add(char const* format, ...) noexcept {
    std::va_list arguments;
    va_start(arguments, format);
    int const written = std::vsnprintf(text_ + used_, sizeof(text_) - used_, format, arguments);
    va_end(arguments);
    if (written > 0) used_ = std::min(used_ + static_cast<size_t>(written), sizeof(text_) - 1);
  }
  char const* c_str() const noexcept { return text_; }

 private:
  char text_[256] = "";
  size_t used_ = 0;
};

// The numbers that symbols stand for, as far as tensors have told them.
class Symbols {
 public:
  // The number that an extent stands for, -1 if that is not known yet.
  int64_t value_of(Extent const& extent) const noexcept {
    if (extent.symbol == nullptr) return extent.value;
    for (int32_t i = 0; i < count_; ++i) {
      if (std::strcmp(entries_[i].symbol, extent.symbol) == 0) return entries_[i].value;
    }
    return -1;
  }
  void learn(Extent const& extent, int64_t value) noexcept {
    if (value_of(extent) < 0 && count_ < kCapacity) entries_[count_++] = {extent.symbol, value};
  }

 private:
  struct Entry {
    char const* symbol;
    int64_t value;
  };
  static constexpr int32_t kCapacity = trt::Dims::MAX_DIMS * Shape::kMaxRank;
  Entry entries_[kCapacity];
  int32_t count_ = 0;
};

void add_shape(Text& text, trt::Dims const& dims) noexcept {
  text.add("(");
  int32_t const rank = std::min(dims.nbDims, trt::Dims::MAX_DIMS + 0);
  for (int32_t i = 0; i < rank; ++i) text.add("%s%lld", i > 0 ? ", " : "", static_cast<long long>(dims.d[i]));
  text.add(")");
}

void add_shape(Text& text, Shape const& shape, Symbols const& symbols) noexcept {
  text.add("(");
  for (int32_t i = 0; i < shape.rank; ++i) {
    int64_t const value = symbols.value_of(shape.extents[i]);
    if (i > 0) text.add(", ");
    if (value >= 0) {
      text.add("%lld", static_cast<long long>(value));
    } else {
      text.add("%s", shape.extents[i].symbol);
    }
  }
  text.add(")");
}

bool agrees(trt::Dims const& dims, Shape const& shape, Symbols const& symbols, bool all_known) noexcept {
  if (dims.nbDims != shape.rank) return false;
  Symbols within = symbols;  // a symbol may occur twice in one shape
  for (int32_t i = 0; i < shape.rank; ++i) {
    if (dims.d[i] < 0 && !all_known) continue;
    if (dims.d[i] < 0 || dims.d[i] > INT32_MAX) return false;
    int64_t const expected = within.value_of(shape.extents[i]);
    if (expected >= 0 && dims.d[i] != expected) return false;
    within.learn(shape.extents[i], dims.d[i]);
  }
  return true;
}

char const* name_of(trt::DataType type) noexcept {
  static constexpr char const* kNames[] = {"FP32", "FP16", "INT8",  "INT32", "BOOL", "UINT8",
                                           "FP8",  "BF16", "INT64", "INT4",  "FP4"};
  auto const index = static_cast<size_t>(type);
  return index < std::size(kNames) ? kNames[index] : "an unknown type";
}

// Formats of a map in FP16. TensorRT weighs kLINEAR against kHWC8. TensorRT-RTX takes kLINEAR wherever it may and then
// transposes the map for the convolution beside it; from and to kHWC8 it copies; only kHWC, the same bytes where the
// channels are whole vectors, it hands on as it is, and so there it is offered alone.
bool supports_map(trt::PluginTensorDesc const& map) noexcept {
  constexpr int64_t kVector = 8;
  int64_t const channels = map.dims.nbDims == 4 ? map.dims.d[1] : -1;
  if (is_tensorrt_rtx() && channels > 0 && channels % kVector == 0) return map.format == trt::TensorFormat::kHWC;
  return map.format == trt::TensorFormat::kLINEAR || map.format == trt::TensorFormat::kHWC8;
}

// The type of elements that have only one.
trt::DataType type_of(Element element) noexcept {
  switch (element) {
    case Element::kHalf:
      return trt::DataType::kHALF;
    case Element::kInt:
      return trt::DataType::kINT32;
    case Element::kBytes:
      return trt::DataType::kINT8;
    default:
      return trt::DataType::kFLOAT;
  }
}

bool is_real(trt::DataType type) noexcept { return type == trt::DataType::kFLOAT || type == trt::DataType::kHALF; }

}  // namespace

int32_t OperatorRules::first_real() const noexcept {
  TensorRule const* const end = tensors + inputs;
  return static_cast<int32_t>(
      std::find_if(tensors, end, [](TensorRule const& rule) { return rule.element == Element::kReal; }) - tensors);
}

void OperatorRules::log_refusal(char const* reason) const noexcept {
  Text signature;
  for (int32_t i = 0; i < inputs; ++i) {
    signature.add("%s%s ", i == 0 ? "" : i + 1 < inputs ? ", " : " and ", tensors[i].name);
    add_shape(signature, tensors[i].shape, Symbols());
  }
  log_error("%s takes %s: %s", operator_name, signature.c_str(), reason);
}

bool OperatorRules::accept_types(trt::DataType const* types) const noexcept {
  int32_t const real = first_real();
  for (int32_t i = 0; i < inputs; ++i) {
    Text expected;
    bool fits = true;
    if (tensors[i].element == Element::kReal && i == real) {
      fits = is_real(types[i]);
      expected.add("FP32 or FP16");
    } else if (tensors[i].element == Element::kReal) {
      fits = types[i] == types[real];
      expected.add("%s as %s", name_of(types[real]), tensors[real].name);
    } else {
      trt::DataType const only = type_of(tensors[i].element);
      fits = types[i] == only;
      expected.add("%s%s", name_of(only), tensors[i].element == Element::kBytes ? " with the bytes of UINT8" : "");
    }
    if (fits) continue;
    Text reason;
    reason.add("%s is %s, expected %s", tensors[i].name, name_of(types[i]), expected.c_str());
    log_refusal(reason.c_str());
    return false;
  }
  return true;
}

bool OperatorRules::accept_shapes(trt::Dims const* shapes, bool all_known) const noexcept {
  Symbols symbols;
  for (int32_t i = 0; i < inputs; ++i) {
    Shape const& shape = tensors[i].shape;
    if (!agrees(shapes[i], shape, symbols, all_known)) {
      Text reason;
      reason.add("%s has the shape ", tensors[i].name);
      add_shape(reason, shapes[i]);
      reason.add(", expected ");
      add_shape(reason, shape, symbols);
      log_refusal(reason.c_str());
      return false;
    }
    for (int32_t d = 0; d < shape.rank; ++d) {
      if (shapes[i].d[d] >= 0) symbols.learn(shape.extents[d], shapes[i].d[d]);
    }
  }
  return true;
}

bool OperatorRules::support(int32_t position, trt::DynamicPluginTensorDesc const* given) const noexcept {
  TensorRule const& rule = tensors[position];
  trt::DataType const type = given[position].desc.type;
  bool const packs = rule.packs && type == trt::DataType::kHALF;
  if (packs ? !supports_map(given[position].desc) : given[position].desc.format != trt::TensorFormat::kLINEAR) {
    return false;
  }
  if (rule.element != Element::kReal) return type == type_of(rule.element);
  return is_real(type) && type == given[first_real()].desc.type;
}

void OperatorRules::output_types(trt::DataType const* of_inputs, trt::DataType* of_outputs) const noexcept {
  for (int32_t i = 0; i < outputs; ++i) {
    Element const element = tensors[inputs + i].element;
    of_outputs[i] = element == Element::kReal ? of_inputs[first_real()] : type_of(element);
  }
}

void OperatorRules::output_shapes(trt::DimsExprs const* of_inputs, trt::DimsExprs* of_outputs,
                                  trt::IExprBuilder& builder) const noexcept {
  auto const find = [&](char const* symbol) -> trt::IDimensionExpr const* {
    for (int32_t i = 0; i < inputs; ++i) {
      for (int32_t d = 0; d < tensors[i].shape.rank; ++d) {
        char const* const other = tensors[i].shape.extents[d].symbol;
        if (other != nullptr && std::strcmp(symbol, other) == 0) return of_inputs[i].d[d];
      }
    }
    return nullptr;
  };
  for (int32_t i = 0; i < outputs; ++i) {
    Shape const& shape = tensors[inputs + i].shape;
    of_outputs[i].nbDims = shape.rank;
    for (int32_t d = 0; d < shape.rank; ++d) {
      Extent const& extent = shape.extents[d];
      of_outputs[i].d[d] = extent.symbol == nullptr ? builder.constant(extent.value) : find(extent.symbol);
      if (extent.factor == 1 || of_outputs[i].d[d] == nullptr) continue;
      of_outputs[i].d[d] =
          builder.operation(trt::DimensionOperation::kPROD, *of_outputs[i].d[d], *builder.constant(extent.factor));
    }
  }
}

}  // namespace vexkd
