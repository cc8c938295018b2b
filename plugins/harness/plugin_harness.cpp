// Plays TensorRT's part against the library: plugin_harness LIBVEXKD.so [CHECK]; "--list" names the
// checks. One line per check: "ok NAME", "skip NAME: reason" or "FAIL NAME: reason". Exit code 1 if one failed.
#include <dlfcn.h>

#include <cstdio>
#include <cstring>

#include "checks.hpp"

namespace harness {
namespace {

template <class Function>
Function symbol(void* library, char const* name) {
  void* const address = dlsym(library, name);
  require(address != nullptr, std::string("the library has no ") + name);
  return reinterpret_cast<Function>(address);
}

void* open_library(char const* path) {
  void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw Failure(dlerror());
  return library;
}

}  // namespace

PluginLibrary::PluginLibrary(char const* path) {
  void* const library = open_library(path);
  set_logger_finder_ = symbol<void (*)(void*)>(library, "setLoggerFinder");
  int32_t count = 0;
  auto const get = symbol<IPluginCreatorInterface* const* (*)(int32_t&)>(library, "getCreators");
  IPluginCreatorInterface* const* const found = get(count);
  for (int32_t i = 0; i < count; ++i) {
    InterfaceInfo const info = found[i]->getInterfaceInfo();
    require(std::strcmp(info.kind, "PLUGIN CREATOR_V3ONE") == 0 && info.major == 1, "unexpected kind of creator");
    creators_.push_back(static_cast<IPluginCreatorV3One*>(found[i]));
  }
}

IPluginCreatorV3One& PluginLibrary::creator(std::string const& name) const {
  for (IPluginCreatorV3One* creator : creators_) {
    if (name == creator->getPluginName()) return *creator;
  }
  throw Failure("no creator of " + name);
}

DimsExprs Builder::dims(std::vector<int64_t> const& values) {
  DimsExprs dims{};
  for (int64_t value : values) dims.d[dims.nbDims++] = constant(value);
  return dims;
}

IDimensionExpr const* Builder::constant(int64_t value) {
  expressions_.push_back(std::make_unique<Expression>(value));
  return expressions_.back().get();
}

IDimensionExpr const* Builder::operation(DimensionOperation operation, IDimensionExpr const& first,
                                         IDimensionExpr const& second) {
  require(operation == DimensionOperation::kPROD, "another operation on dimensions than a product");
  bool const known = first.isConstant() && second.isConstant();
  return constant(known ? first.getConstantValue() * second.getConstantValue() : -1);
}

IDimensionExpr const* Builder::declareSizeTensor(int32_t, IDimensionExpr const&, IDimensionExpr const&) {
  return constant(-1);
}

Dims make_dims(std::vector<int64_t> const& values) {
  Dims dims{};
  for (int64_t value : values) dims.d[dims.nbDims++] = value;
  return dims;
}

PluginTensorDesc describe(std::vector<int64_t> const& dims, DataType type, TensorFormat format) {
  return {make_dims(dims), type, format, 1.0F};
}

DynamicPluginTensorDesc describe_dynamic(std::vector<int64_t> const& dims, DataType type, TensorFormat format) {
  Dims const made = make_dims(dims);
  return {describe(dims, type, format), made, made, made};
}

Plugin::Plugin(IPluginV3* created) : plugin(created) {
  require(created != nullptr, "the library made no plugin");
  auto const face = [&](PluginCapabilityType type, char const* kind) {
    IPluginCapability* const capability = created->getCapabilityInterface(type);
    require(capability != nullptr, std::string("no capability ") + kind);
    InterfaceInfo const info = capability->getInterfaceInfo();
    require(std::strcmp(info.kind, kind) == 0 && info.major == 1 && info.minor == 0, std::string("not a ") + kind);
    return capability;
  };
  core = static_cast<IPluginV3OneCore*>(face(PluginCapabilityType::kCORE, "PLUGIN_V3ONE_CORE"));
  build = static_cast<IPluginV3OneBuild*>(face(PluginCapabilityType::kBUILD, "PLUGIN_V3ONE_BUILD"));
  runtime = static_cast<IPluginV3OneRuntime*>(face(PluginCapabilityType::kRUNTIME, "PLUGIN_V3ONE_RUNTIME"));
}

std::vector<PluginField> default_fields(std::string const& name, DataType real) {
  static float const range[6] = {-8, -4, -5, 8, 2, 3};
  static float const cell[2] = {0.5F, 0.25F};
  static int32_t const height = 24, width = 32;
  if (name == "PrepareImages") {
    static float const mean[3] = {123.675F, 116.28F, 103.53F}, deviation[3] = {58.395F, 57.12F, 57.375F};
    static int32_t const float_type = 1, half_type = 10;  // ONNX's numbers
    return {{"height", &height, PluginFieldType::kINT32, 1},
            {"width", &width, PluginFieldType::kINT32, 1},
            {"mean", mean, PluginFieldType::kFLOAT32, 3},
            {"deviation", deviation, PluginFieldType::kFLOAT32, 3},
            {"dtype", real == DataType::kHALF ? &half_type : &float_type, PluginFieldType::kINT32, 1}};
  }
  static float const depths[3] = {0.5F, 2, 3.5F};
  static int32_t const feature_height = 5, feature_width = 7, stride = 4;
  if (name == "Voxelize") {
    return {{"range", range, PluginFieldType::kFLOAT32, 6}, {"cell", cell, PluginFieldType::kFLOAT32, 2}};
  }
  if (name == "FrustumIndex") {
    return {{"depths", depths, PluginFieldType::kFLOAT32, 3},
            {"feature_height", &feature_height, PluginFieldType::kINT32, 1},
            {"feature_width", &feature_width, PluginFieldType::kINT32, 1},
            {"stride", &stride, PluginFieldType::kINT32, 1},
            {"range", range, PluginFieldType::kFLOAT32, 6},
            {"cell", cell, PluginFieldType::kFLOAT32, 2}};
  }
  return {{"height", &height, PluginFieldType::kINT32, 1}, {"width", &width, PluginFieldType::kINT32, 1}};
}

Plugin create(PluginLibrary const& library, std::string const& name, std::vector<PluginField> const& fields,
              TensorRTPhase phase) {
  PluginFieldCollection const collection{static_cast<int32_t>(fields.size()), fields.data()};
  return Plugin(library.creator(name).createPlugin("node", &collection, phase));
}

}  // namespace harness

namespace {

int run(harness::Libraries const& libraries, std::vector<harness::Check> const& checks, char const* wanted) {
  int failures = 0, made = 0;
  for (auto const& [name, check] : checks) {
    if (wanted != nullptr && name != wanted) continue;
    ++made;
    try {
      check(libraries);
      std::printf("ok %s\n", name.c_str());
    } catch (harness::Skipped const& reason) {
      std::printf("skip %s: %s\n", name.c_str(), reason.what());
    } catch (std::exception const& error) {
      std::printf("FAIL %s: %s\n", name.c_str(), error.what());
      ++failures;
    }
  }
  if (made == 0) std::printf("FAIL %s: no such check\n", wanted);
  return failures > 0 || made == 0 ? 1 : 0;
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<harness::Check> checks = harness::host_checks();
  for (harness::Check& check : harness::device_checks()) checks.push_back(std::move(check));
  if (count == 2 && std::strcmp(arguments[1], "--list") == 0) {
    for (auto const& [name, check] : checks) std::puts(name.c_str());
    return 0;
  }
  if (count < 2) {
    std::fprintf(stderr, "usage: %s LIBVEXKD.so [CHECK] | --list\n", arguments[0]);
    return 2;
  }
  try {
    harness::Libraries const libraries{harness::PluginLibrary(arguments[1]), harness::open_library(arguments[1])};
    return run(libraries, checks, count > 2 ? arguments[2] : nullptr);
  } catch (std::exception const& error) {
    std::printf("FAIL load: %s\n", error.what());
    return 1;
  }
}
