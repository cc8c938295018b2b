// What the plugins share: reading fields, checking tensors, and the parts of IPluginV3 that do not depend on the
// operator.
#pragma once

#include <array>
#include <cstring>
#include <new>
#include <utility>

#include "logging.hpp"
#include "plugin_api.h"
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

inline bool is_linear(trt::PluginTensorDesc const& tensor, trt::DataType type) noexcept {
  return tensor.format == trt::TensorFormat::kLINEAR && tensor.type == type;
}

inline bool is_float(trt::DataType type) noexcept {
  return type == trt::DataType::kFLOAT || type == trt::DataType::kHALF;
}

inline vexkd_dtype dtype_of(trt::DataType type) noexcept {
  return type == trt::DataType::kHALF ? VEXKD_F16 : VEXKD_F32;
}

/// FP16 with the channels of a position side by side, eight at a time: VEXKD_PACKED8.
inline bool is_packed(trt::PluginTensorDesc const& tensor) noexcept {
  return tensor.format == trt::TensorFormat::kHWC8 && tensor.type == trt::DataType::kHALF;
}

inline vexkd_layout layout_of(trt::PluginTensorDesc const& tensor) noexcept {
  return is_packed(tensor) ? VEXKD_PACKED8 : VEXKD_PLANAR;
}

/// True if a kernel succeeded; else the reason is logged.
inline bool succeeded(char const* operation, vexkd_status status) noexcept {
  if (status == VEXKD_OK) return true;
  log_error("%s failed: %s", operation, vexkd_status_string(status));
  return false;
}

/// True if the dimension fits the kernels' int32 sizes.
inline bool is_size(int64_t extent) noexcept { return extent >= 0 && extent <= INT32_MAX; }

/// The dimension as the kernels take it, -1, which they refuse, if it does not fit.
inline int32_t to_size(int64_t extent) noexcept { return is_size(extent) ? static_cast<int32_t>(extent) : -1; }

/// Asked for where the workspace cannot be known: no machine has it, so that no engine is built with too little.
inline constexpr size_t kNoWorkspace = size_t{1} << 50;

/// Shape and type of an input: the current one, or the largest one while an engine is built.
struct Input {
  trt::Dims const& dims;
  trt::DataType type;
};

/// Everything of IPluginV3 that does not depend on the operator: identity, fields, cloning, and the checks of what the
/// host passes, so that an operator sees whole, non-null arguments only.
///
/// `Attributes` owns the values of the operator's fields and offers `fields()`, descriptions that point into itself, so
/// every clone describes its own copy. `Derived` adds, as public members:
///   kName, kSignature (for messages)
///   void output_types(trt::DataType const* inputs, trt::DataType* outputs) const        these two may be static
///   bool output_shapes(trt::DimsExprs const* inputs, trt::DimsExprs* outputs, trt::IExprBuilder& builder) const
///   bool supports(int32_t position, trt::DynamicPluginTensorDesc const* tensors) const
///   bool fits(Input const* inputs) const             the shapes are those of a valid call
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

  int32_t configurePlugin(trt::DynamicPluginTensorDesc const*, int32_t, trt::DynamicPluginTensorDesc const*,
                          int32_t) noexcept override {
    return 0;
  }
  int32_t getNbOutputs() const noexcept override { return kOutputs; }

  int32_t getOutputDataTypes(trt::DataType* outputs, int32_t output_count, trt::DataType const* inputs,
                             int32_t input_count) const noexcept override {
    if (!whole(inputs, input_count, outputs, output_count)) return -1;
    self().output_types(inputs, outputs);
    return 0;
  }

  int32_t getOutputShapes(trt::DimsExprs const* inputs, int32_t input_count, trt::DimsExprs const*, int32_t,
                          trt::DimsExprs* outputs, int32_t output_count, trt::IExprBuilder& builder) noexcept override {
    if (!whole(inputs, input_count, outputs, output_count)) return -1;
    return self().output_shapes(inputs, outputs, builder) ? 0 : refuse();
  }

  bool supportsFormatCombination(int32_t position, trt::DynamicPluginTensorDesc const* tensors, int32_t input_count,
                                 int32_t output_count) noexcept override {
    if (!whole(tensors, input_count, tensors, output_count)) return false;
    return position >= 0 && position < kInputs + kOutputs && self().supports(position, tensors);
  }

  size_t getWorkspaceSize(trt::DynamicPluginTensorDesc const* tensors, int32_t input_count,
                          trt::DynamicPluginTensorDesc const*, int32_t) const noexcept override {
    if (!whole(tensors, input_count, tensors, kOutputs)) return kNoWorkspace;
    return with_inputs([&](int32_t i) { return Input{tensors[i].max, tensors[i].desc.type}; },
                       [&](Input const* inputs) { return workspace_size(inputs); });
  }

  int32_t onShapeChange(trt::PluginTensorDesc const* tensors, int32_t input_count, trt::PluginTensorDesc const* outputs,
                        int32_t output_count) noexcept override {
    if (!whole(tensors, input_count, outputs, output_count)) return -1;
    return with_inputs([&](int32_t i) { return Input{tensors[i].dims, tensors[i].type}; },
                       [&](Input const* inputs) { return self().fits(inputs) ? 0 : refuse(); });
  }

  int32_t enqueue(trt::PluginTensorDesc const* tensors, trt::PluginTensorDesc const* outputs, void const* const* from,
                  void* const* to, void* workspace, CudaStream stream) noexcept override {
    if (tensors == nullptr || outputs == nullptr || from == nullptr || to == nullptr) return -1;
    return with_inputs([&](int32_t i) { return Input{tensors[i].dims, tensors[i].type}; },
                       [&](Input const* inputs) {
                         if (!self().fits(inputs)) return refuse();
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

  static int32_t refuse() noexcept {
    log_error("%s takes %s", Derived::kName, Derived::kSignature);
    return -1;
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
  /// Shape of a map of this size: (1, channels, height, width).
  trt::DimsExprs map_of(trt::IDimensionExpr const* channels, trt::IExprBuilder& builder) const noexcept {
    return {4, {builder.constant(1), channels, builder.constant(height), builder.constant(width)}};
  }
};

}  // namespace vexkd
