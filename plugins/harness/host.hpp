// TensorRT's part in the conversation with a plugin library, as far as the plugins can see it.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "plugin_abi.h"

namespace harness {

using namespace vexkd::abi;

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A check that cannot be made on this machine, and why.
struct Skipped : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void require(bool holds, std::string const& what) {
  if (!holds) throw Failure(what);
}

/// A loaded plugin library; it is never unloaded.
class PluginLibrary {
 public:
  explicit PluginLibrary(char const* path);
  IPluginCreatorV3One& creator(std::string const& name) const;
  std::vector<IPluginCreatorV3One*> const& creators() const { return creators_; }
  void set_logger_finder(void* finder) const { set_logger_finder_(finder); }

 private:
  std::vector<IPluginCreatorV3One*> creators_;
  void (*set_logger_finder_)(void*);
};

/// A symbolic dimension: a constant, or -1 for an unknown one.
class Expression : public IDimensionExpr, private ExpressionImplementation {
 public:
  explicit Expression(int64_t value) : value_(value) { mImpl = this; }
  int64_t value() const { return value_; }

 private:
  bool isConstant() const override { return value_ >= 0; }
  int64_t getConstantValue() const override { return value_; }
  bool isSizeTensor() const override { return false; }
  int64_t value_;
};

/// Makes expressions and owns them.
class Builder : public IExprBuilder, private ExprBuilderImplementation {
 public:
  Builder() { mImpl = this; }
  DimsExprs dims(std::vector<int64_t> const& values);

 private:
  IDimensionExpr const* constant(int64_t value) override;
  IDimensionExpr const* operation(DimensionOperation, IDimensionExpr const&, IDimensionExpr const&) override;
  IDimensionExpr const* declareSizeTensor(int32_t, IDimensionExpr const&, IDimensionExpr const&) override;
  std::vector<std::unique_ptr<Expression>> expressions_;
};

Dims make_dims(std::vector<int64_t> const& values);
PluginTensorDesc describe(std::vector<int64_t> const& dims, DataType type, TensorFormat format = TensorFormat::kLINEAR);
DynamicPluginTensorDesc describe_dynamic(std::vector<int64_t> const& dims, DataType type,
                                         TensorFormat format = TensorFormat::kLINEAR);

/// The three faces of a plugin.
struct Plugin {
  std::unique_ptr<IPluginV3> plugin;
  IPluginV3OneCore* core = nullptr;
  IPluginV3OneBuild* build = nullptr;
  IPluginV3OneRuntime* runtime = nullptr;

  explicit Plugin(IPluginV3* created);
};

/// Fields as an ONNX parser or an engine gives them; `real` for the operator whose field says its output's type.
std::vector<PluginField> default_fields(std::string const& name, DataType real = DataType::kFLOAT);
Plugin create(PluginLibrary const& library, std::string const& name, std::vector<PluginField> const& fields,
              TensorRTPhase phase = TensorRTPhase::kBUILD);

}  // namespace harness
