// What the plugins share: reading fields, checking tensors, and the parts of IPluginV3 that do not depend on the
// operator.
#pragma once

#include <array>
#include <cstring>
#include <new>
#include <utility>

#include "logging.hpp"
#include "plugin_api.h"
#include "tensor_rules.hpp"
#include "vexkd/types.h"

namespace vexkd {

inline constexpr char kPluginNamespace[] = "vexkd";
inline constexpr char kPluginVersion[] = "1";

/// The field of this name, or null.
inline trt::PluginField const* find_field(trt::PluginFieldCollection const* fields, char const* name) noexcept {
  if (fields == nullptr || fields->fields == nullptr) return nullptr;
  for (int32_t i = 0; i < fields->nbFields; ++i) {
    trt::PluginField const& field = fields->fields[i];
    if (field.name != nullptr && std::strcmp(field.name, name) == 0) return &field;
  }
  return nullptr;
}

/// Copy a float field of exactly `count` values; false, with a logged reason, if it is missing or another.
inline bool read_floats(trt::PluginFieldCollection const* fields, char const* name, float* values,
                        int32_t count) noexcept {
  trt::PluginField const* field = find_field(fields, name);
  if (field == nullptr || field->data == nullptr || field->type != trt::PluginFieldType::kFLOAT32 ||
      field->length != count) {
    log_error("attribute %s must be %d floats", name, count);
    return false;
  }
  std::memcpy(values, field->data, sizeof(float) * static_cast<size_t>(count));
  return true;
}

/// Copy a positive integer field (int32 or int64); false, with a logged reason, if it is missing or another.
inline bool read_size(trt::PluginFieldCollection const* fields, char const* name, int32_t* value) noexcept {
  trt::PluginField const* field = find_field(fields, name);
  int64_t wide = 0;
  if (field != nullptr && field->data != nullptr && field->length == 1) {
    if (field->type == trt::PluginFieldType::kINT32) {
      int32_t narrow = 0;
      std::memcpy(&narrow, field->data, sizeof(narrow));
      wide = narrow;
    } else if (field->type == trt::PluginFieldType::kINT64) {
      std::memcpy(&wide, field->data, sizeof(wide));
    }
  }
  if (wide < 1 || wide > INT32_MAX) {
    log_error("attribute %s must be one positive integer", name);
    return false;
  }
  *value = static_cast<int32_t>(wide);
  return true;
}

inline vexkd_dtype dtype_of(trt::DataType type) noexcept {
  return type == trt::DataType::kHALF ? VEXKD_F16 : VEXKD_F32;
}

inline vexkd_layout layout_of(trt::PluginTensorDesc const& tensor) noexcept {
  return tensor.format == trt::TensorFormat::kLINEAR ? VEXKD_PLANAR : VEXKD_PACKED8;
}

/// True if a kernel succeeded; else the reason is logged.
inline bool succeeded(char const* operation, vexkd_status status) noexcept {
  if (status == VEXKD_OK) return true;
  log_error("%s failed: %s", operation, vexkd_status_string(status));
  return false;
}

/// The dimension as the kernels take it, -1, which they refuse, if it does not fit.
inline int32_t to_size(int64_t extent) noexcept {
  return extent >= 0 && extent <= INT32_MAX ? static_cast<int32_t>(extent) : -1;
}

/// Asked for where the workspace cannot be known: no machine has it, so that no engine is built with too little.
inline constexpr size_t kNoWorkspace = size_t{1} << 50;

/// Shape, type and layout of an input: the current ones, or the largest shape while an engine is built.
struct Input {
  trt::Dims const& dims;
  trt::DataType type;
  vexkd_layout layout;
};

/// Dimensions that are fixed when an engine is built, -1 for the others.
inline trt::Dims known_dims(trt::DynamicPluginTensorDesc const& tensor) noexcept {
  trt::Dims known = tensor.desc.dims;
  for (int32_t i = 0; i < known.nbDims && i < trt::Dims::MAX_DIMS; ++i) {
    if (known.d[i] < 0 && tensor.min.d[i] == tensor.max.d[i]) known.d[i] = tensor.min.d[i];
  }
  return known;
}
inline trt::Dims known_dims(trt::DimsExprs const& expressions) noexcept {
  trt::Dims known{};
  known.nbDims = expressions.nbDims;
  for (int32_t i = 0; i < known.nbDims && i < trt::Dims::MAX_DIMS; ++i) {
    bool const constant = expressions.d[i] != nullptr && expressions.d[i]->isConstant();
    known.d[i] = constant ? expressions.d[i]->getConstantValue() : -1;
  }
  return known;
}

/// Everything of IPluginV3 that does not depend on the operator: identity, fields, cloning, and the checks of what the
/// host passes, so that an operator sees whole, non-null arguments of shapes and types that fit. What does not is
/// refused, with a line that says why, as early as it is known: while the network is made (types, constant shapes),
/// when the engine is built (shapes of a profile), or before a call.
///
/// `Attributes` owns the values of the operator's fields and offers `fields()`, descriptions that point into itself, so
/// every clone describes its own copy. `Derived` adds, as public members:
///   kName
///   Tensors tensors() const                          the rules of the inputs, then of the outputs
///   vexkd_status workspace(Input const* inputs, size_t* size) const
///       each tensor may have its largest shape by itself, so they need not fit each other
///   vexkd_status run(Input const* inputs, trt::PluginTensorDesc const* outputs, void const* const* from,
///                    void* const* to, void* workspace, size_t size, CudaStream stream) const
///       only for shapes that fit
template <class Derived, class Attributes, int32_t kInputs, int32_t kOutputs>
class OperatorPlugin : public trt::IPluginV3,
                       public trt::IPluginV3OneCore,
                       public trt::IPluginV3OneBuild,
                       public trt::IPluginV3OneRuntime {
 public:
  using Tensors = std::array<TensorRule, kInputs + kOutputs>;

  explicit OperatorPlugin(Attributes const& attributes) noexcept
      : attributes_(attributes),
        fields_(attributes_.fields()),
        collection_{static_cast<int32_t>(fields_.size()), fields_.data()} {}
  OperatorPlugin(OperatorPlugin const&) = delete;
  OperatorPlugin& operator=(OperatorPlugin const&) = delete;

  trt::IPluginCapability* getCapabilityInterface(trt::PluginCapabilityType type) noexcept override {
    switch (type) {
      case trt::PluginCapabilityType::kCORE:
        return static_cast<trt::IPluginV3OneCore*>(this);
      case trt::PluginCapabilityType::kBUILD:
        return static_cast<trt::IPluginV3OneBuild*>(this);
      case trt::PluginCapabilityType::kRUNTIME:
        return static_cast<trt::IPluginV3OneRuntime*>(this);
    }
    return nullptr;
  }
  trt::IPluginV3* clone() noexcept override { return new (std::nothrow) Derived(attributes_); }
  trt::IPluginV3* attachToContext(trt::IPluginResourceContext*) noexcept override { return clone(); }
  trt::PluginFieldCollection const* getFieldsToSerialize() noexcept override { return &collection_; }

  char const* getPluginName() const noexcept override { return Derived::kName; }
  char const* getPluginVersion() const noexcept override { return kPluginVersion; }
  char const* getPluginNamespace() const noexcept override { return kPluginNamespace; }

  int32_t configurePlugin(trt::DynamicPluginTensorDesc const* inputs, int32_t input_count,
                          trt::DynamicPluginTensorDesc const* outputs, int32_t output_count) noexcept override {
    if (!whole(inputs, input_count, outputs, output_count)) return -1;
    trt::Dims known[kInputs];
    for (int32_t i = 0; i < kInputs; ++i) known[i] = known_dims(inputs[i]);
    return with_rules([&](OperatorRules const& rules) { return rules.accept_shapes(known, false) ? 0 : -1; });
  }
  int32_t getNbOutputs() const noexcept override { return kOutputs; }

  int32_t getOutputDataTypes(trt::DataType* outputs, int32_t output_count, trt::DataType const* inputs,
                             int32_t input_count) const noexcept override {
    if (!whole(inputs, input_count, outputs, output_count)) return -1;
    return with_rules([&](OperatorRules const& rules) {
      if (!rules.accept_types(inputs)) return -1;
      rules.output_types(inputs, outputs);
      return 0;
    });
  }

  int32_t getOutputShapes(trt::DimsExprs const* inputs, int32_t input_count, trt::DimsExprs const*, int32_t,
                          trt::DimsExprs* outputs, int32_t output_count, trt::IExprBuilder& builder) noexcept override {
    if (!whole(inputs, input_count, outputs, output_count)) return -1;
    trt::Dims known[kInputs];
    for (int32_t i = 0; i < kInputs; ++i) known[i] = known_dims(inputs[i]);
    return with_rules([&](OperatorRules const& rules) {
      if (!rules.accept_shapes(known, false)) return -1;
      rules.output_shapes(inputs, outputs, builder);
      return 0;
    });
  }

  bool supportsFormatCombination(int32_t position, trt::DynamicPluginTensorDesc const* tensors, int32_t input_count,
                                 int32_t output_count) noexcept override {
    if (!whole(tensors, input_count, tensors, output_count)) return false;
    if (position < 0 || position >= kInputs + kOutputs) return false;
    return with_rules([&](OperatorRules const& rules) { return rules.support(position, tensors); });
  }

  size_t getWorkspaceSize(trt::DynamicPluginTensorDesc const* tensors, int32_t input_count,
                          trt::DynamicPluginTensorDesc const*, int32_t) const noexcept override {
    if (!whole(tensors, input_count, tensors, kOutputs)) return kNoWorkspace;
    return with_inputs(
        [&](int32_t i) { return Input{tensors[i].max, tensors[i].desc.type, layout_of(tensors[i].desc)}; },
        [&](Input const* inputs) { return workspace_size(inputs); });
  }

  int32_t onShapeChange(trt::PluginTensorDesc const* tensors, int32_t input_count, trt::PluginTensorDesc const* outputs,
                        int32_t output_count) noexcept override {
    if (!whole(tensors, input_count, outputs, output_count)) return -1;
    return accept_call(tensors) ? 0 : -1;
  }

  int32_t enqueue(trt::PluginTensorDesc const* tensors, trt::PluginTensorDesc const* outputs, void const* const* from,
                  void* const* to, void* workspace, CudaStream stream) noexcept override {
    if (tensors == nullptr || outputs == nullptr || from == nullptr || to == nullptr) return -1;
    if (!accept_call(tensors)) return -1;
    return with_inputs([&](int32_t i) { return Input{tensors[i].dims, tensors[i].type, layout_of(tensors[i])}; },
                       [&](Input const* inputs) {
                         vexkd_status const status =
                             self().run(inputs, outputs, from, to, workspace, workspace_size(inputs), stream);
                         return succeeded(Derived::kName, status) ? 0 : -1;
                       });
  }

 protected:
  Attributes const attributes_;

 private:
  Derived const& self() const noexcept { return static_cast<Derived const&>(*this); }

  static bool whole(void const* inputs, int32_t input_count, void const* outputs, int32_t output_count) noexcept {
    return inputs != nullptr && outputs != nullptr && input_count == kInputs && output_count == kOutputs;
  }

  template <class Use>
  auto with_rules(Use use) const noexcept {
    Tensors const tensors = self().tensors();
    return use(OperatorRules{Derived::kName, tensors.data(), kInputs, kOutputs});
  }

  bool accept_call(trt::PluginTensorDesc const* tensors) const noexcept {
    trt::Dims shapes[kInputs];
    for (int32_t i = 0; i < kInputs; ++i) shapes[i] = tensors[i].dims;
    return with_rules([&](OperatorRules const& rules) { return rules.accept_shapes(shapes, true); });
  }

  template <class Make, class Use>
  static auto with_inputs(Make make, Use use) noexcept {
    return with_inputs(make, use, std::make_integer_sequence<int32_t, kInputs>());
  }
  template <class Make, class Use, int32_t... kIndices>
  static auto with_inputs(Make make, Use use, std::integer_sequence<int32_t, kIndices...>) noexcept {
    Input const inputs[] = {make(kIndices)...};
    return use(inputs);
  }

  // The kernel is told this size in enqueue too; TensorRT allotted what it was for the largest shapes.
  size_t workspace_size(Input const* inputs) const noexcept {
    size_t size = 0;
    return succeeded(Derived::kName, self().workspace(inputs, &size)) ? size : kNoWorkspace;
  }

  decltype(attributes_.fields()) const fields_;
  trt::PluginFieldCollection const collection_;
};

/// Creator of one plugin class; `Attributes::read` checks the fields.
template <class Plugin, class Attributes>
class OperatorCreator : public trt::IPluginCreatorV3One {
 public:
  trt::IPluginV3* createPlugin(char const*, trt::PluginFieldCollection const* fields,
                               trt::TensorRTPhase) noexcept override {
    Attributes attributes;
    if (!attributes.read(fields)) {
      log_error("cannot create %s", Plugin::kName);
      return nullptr;
    }
    return new (std::nothrow) Plugin(attributes);
  }
  trt::PluginFieldCollection const* getFieldNames() noexcept override { return &collection_; }
  char const* getPluginName() const noexcept override { return Plugin::kName; }
  char const* getPluginVersion() const noexcept override { return kPluginVersion; }
  char const* getPluginNamespace() const noexcept override { return kPluginNamespace; }

 private:
  Attributes const defaults_{};
  decltype(defaults_.fields()) const fields_ = defaults_.fields();
  trt::PluginFieldCollection const collection_{static_cast<int32_t>(fields_.size()), fields_.data()};
};

/// height and width of the BEV map, the attributes of PillarMax and BevPool.
struct BevSize {
  int32_t height = 0;
  int32_t width = 0;

  bool read(trt::PluginFieldCollection const* fields) noexcept {
    return read_size(fields, "height", &height) && read_size(fields, "width", &width);
  }
  std::array<trt::PluginField, 2> fields() const noexcept {
    return {trt::PluginField{"height", &height, trt::PluginFieldType::kINT32, 1},
            trt::PluginField{"width", &width, trt::PluginFieldType::kINT32, 1}};
  }
  int64_t cells() const noexcept { return int64_t{height} * width; }
  /// Shape of a map of this size.
  Shape map(char const* channels) const noexcept { return {1, channels, int64_t{height}, int64_t{width}}; }
};

}  // namespace vexkd
