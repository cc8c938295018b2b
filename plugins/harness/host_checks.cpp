// What can be checked without touching device memory.
#include <algorithm>
#include <climits>
#include <cmath>
#include <cstring>
#include <iterator>

#include "cases.hpp"
#include "loggers.hpp"

namespace harness {
namespace {

constexpr char const* kNames[] = {"Voxelize", "PillarMax", "BevPool", "FrustumIndex", "PrepareImages"};
constexpr DataType kTypes[] = {DataType::kFLOAT, DataType::kHALF,  DataType::kINT8, DataType::kINT32,
                               DataType::kBOOL,  DataType::kUINT8, DataType::kBF16, DataType::kINT64};

// Inputs then outputs of a valid call; -1 in a vector of dimensions is a dynamic one.
struct Signature {
  std::vector<std::vector<int64_t>> inputs, outputs;
};

Signature signature_of(std::string const& name) {
  if (name == "Voxelize") return {{{500, 5}, {1}}, {{500, 11}, {500}}};
  if (name == "FrustumIndex") return {{{2, 3, 3}, {2, 3}}, {{2 * 3 * 5 * 7}, {769}}};
  if (name == "PillarMax") return {{{500, 64}, {500}}, {{1, 64, 24, 32}}};
  if (name == "PrepareImages") return {{{2, 45, 80, 3}}, {{2, 3, 24, 32}}};
  return {{{2, 20, 5, 7}, {2, 80, 5, 7}, {1400}, {769}}, {{1, 80, 24, 32}}};
}

std::vector<DataType> types_of(std::string const& name, DataType real) {
  if (name == "Voxelize") return {DataType::kFLOAT, DataType::kINT32, DataType::kFLOAT, DataType::kINT32};
  if (name == "FrustumIndex") return {DataType::kFLOAT, DataType::kFLOAT, DataType::kINT32, DataType::kINT32};
  if (name == "PillarMax") return {real, DataType::kINT32, real};
  if (name == "PrepareImages") return {DataType::kINT8, real};
  return {real, real, DataType::kINT32, DataType::kINT32, real};
}

std::vector<DynamicPluginTensorDesc> tensors_of(std::string const& name, DataType real) {
  Signature const signature = signature_of(name);
  std::vector<DataType> const types = types_of(name, real);
  std::vector<DynamicPluginTensorDesc> tensors;
  for (auto const& dims : signature.inputs) tensors.push_back(describe_dynamic(dims, types[tensors.size()]));
  for (auto const& dims : signature.outputs) tensors.push_back(describe_dynamic(dims, types[tensors.size()]));
  return tensors;
}

int32_t input_count(std::string const& name) { return static_cast<int32_t>(signature_of(name).inputs.size()); }

bool refuses(Libraries const& libraries, std::string const& name, std::vector<PluginField> const& fields) {
  PluginFieldCollection const collection{static_cast<int32_t>(fields.size()), fields.data()};
  IPluginV3* const made = libraries.plugins.creator(name).createPlugin("node", &collection, TensorRTPhase::kBUILD);
  delete made;
  return made == nullptr;
}

void creators(Libraries const& libraries) {
  require(libraries.plugins.creators().size() == std::size(kNames), "another number of creators");
  for (char const* name : kNames) {
    IPluginCreatorV3One& creator = libraries.plugins.creator(name);
    require(std::strcmp(creator.getPluginVersion(), "1") == 0, "version is not 1");
    require(std::strcmp(creator.getPluginNamespace(), "vexkd") == 0, "namespace is not vexkd");
    PluginFieldCollection const* const fields = creator.getFieldNames();
    std::vector<PluginField> const expected = default_fields(name);
    require(fields != nullptr && fields->nbFields == static_cast<int32_t>(expected.size()), "wrong number of fields");
    for (size_t i = 0; i < expected.size(); ++i) {
      require(std::strcmp(fields->fields[i].name, expected[i].name) == 0, "wrong field name");
      require(fields->fields[i].type == expected[i].type, "wrong field type");
    }
  }
}

void identity(Libraries const& libraries) {
  for (char const* name : kNames) {
    Plugin const made = create(libraries.plugins, name, default_fields(name));
    InterfaceInfo const info = made.plugin->getInterfaceInfo();
    require(std::strcmp(info.kind, "PLUGIN") == 0 && info.major == 1 && info.minor == 0, "not a PLUGIN 1.0");
    require(made.plugin->getAPILanguage() == APILanguage::kCPP, "not C++");
    require(std::strcmp(made.core->getPluginName(), name) == 0, "wrong name");
    require(std::strcmp(made.core->getPluginVersion(), "1") == 0, "wrong version");
    require(std::strcmp(made.core->getPluginNamespace(), "vexkd") == 0, "wrong namespace");
    require(made.build->getNbOutputs() == static_cast<int32_t>(signature_of(name).outputs.size()), "wrong outputs");
    require(made.plugin->getCapabilityInterface(static_cast<PluginCapabilityType>(9)) == nullptr,
            "an unknown capability must be null");
  }
}

void frustum_fields_refused(Libraries const& libraries) {
  std::vector<PluginField> const good = default_fields("FrustumIndex");
  static float const many[897] = {}, reversed[6] = {8, -4, -5, -8, 2, 3};
  static int32_t const none = 0, huge = INT_MAX;
  auto const with = [&](size_t field, void const* data, int32_t length) {
    std::vector<PluginField> changed = good;
    changed[field].data = data;
    changed[field].length = length;
    return refuses(libraries, "FrustumIndex", changed);
  };
  require(!with(0, many, 896), "refuses 896 depths");
  require(with(0, many, 897) && with(0, many, 0) && with(0, nullptr, 3), "takes depths that are none or too many");
  for (size_t field : {1, 2, 3}) require(with(field, &none, 1), "takes a size of 0");
  require(with(1, &huge, 1) && with(3, &huge, 1), "takes a frustum of 2^31 points or a stride of 2^31");
  require(with(4, reversed, 6), "takes max < min");
  for (size_t field = 0; field < good.size(); ++field) {
    std::vector<PluginField> fewer = good;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(field));
    require(refuses(libraries, "FrustumIndex", fewer), std::string("takes a missing ") + good[field].name);
  }
}

void fields_refused(Libraries const& libraries) {
  static float const range[6] = {-8, -4, -5, 8, 2, 3}, reversed[6] = {8, -4, -5, -8, 2, 3};
  static float const nowhere[6] = {NAN, -4, -5, 8, 2, 3}, cell[2] = {0.5F, 0.25F}, flat[2] = {0.5F, 0};
  auto const floats = [](char const* name, float const* values, int32_t count) {
    return PluginField{name, values, PluginFieldType::kFLOAT32, count};
  };
  require(!refuses(libraries, "Voxelize", {floats("range", range, 6), floats("cell", cell, 2)}), "refuses good fields");
  require(!refuses(libraries, "Voxelize", {floats("cell", cell, 2), {}, floats("range", range, 6)}), "minds the order");
  require(refuses(libraries, "Voxelize", {}), "takes no fields");
  require(refuses(libraries, "Voxelize", {floats("range", range, 6)}), "takes a missing cell");
  require(refuses(libraries, "Voxelize", {floats("range", range, 5), floats("cell", cell, 2)}), "takes 5 limits");
  require(refuses(libraries, "Voxelize", {floats("range", nullptr, 6), floats("cell", cell, 2)}), "takes null data");
  require(refuses(libraries, "Voxelize", {floats("range", reversed, 6), floats("cell", cell, 2)}), "takes max < min");
  require(refuses(libraries, "Voxelize", {floats("range", nowhere, 6), floats("cell", cell, 2)}), "takes NaN");
  require(refuses(libraries, "Voxelize", {floats("range", range, 6), floats("cell", flat, 2)}), "takes a cell of 0");
  require(refuses(libraries, "Voxelize", {{"range", range, PluginFieldType::kINT32, 6}, floats("cell", cell, 2)}),
          "takes another type");
  require(libraries.plugins.creator("Voxelize").createPlugin("node", nullptr, TensorRTPhase::kBUILD) == nullptr,
          "takes no collection");
  frustum_fields_refused(libraries);
  static int32_t const sizes[] = {24, 0, -1};
  static int64_t const wide[] = {24, int64_t{1} << 40};
  for (char const* name : {"PillarMax", "BevPool"}) {
    auto const size = [](char const* field, void const* value, PluginFieldType type, int32_t count = 1) {
      return PluginField{field, value, type, count};
    };
    PluginField const height = size("height", &sizes[0], PluginFieldType::kINT32);
    require(!refuses(libraries, name, {height, size("width", &wide[0], PluginFieldType::kINT64)}), "refuses int64");
    require(refuses(libraries, name, {height}), "takes a missing width");
    require(refuses(libraries, name, {height, size("width", &sizes[1], PluginFieldType::kINT32)}), "takes 0");
    require(refuses(libraries, name, {height, size("width", &sizes[2], PluginFieldType::kINT32)}), "takes -1");
    require(refuses(libraries, name, {height, size("width", &wide[1], PluginFieldType::kINT64)}), "takes 2^40");
    require(refuses(libraries, name, {height, size("width", sizes, PluginFieldType::kINT32, 2)}), "takes two widths");
    require(refuses(libraries, name, {height, size("width", sizes, PluginFieldType::kFLOAT32)}), "takes a float");
  }
}

void image_fields_refused(Libraries const& libraries) {
  static float const numbers[] = {1, 2, 3, 4}, zero[] = {1, 0, 3}, nowhere[] = {1, NAN, 3},
                     endless[] = {1, 2, INFINITY};
  static int32_t const sizes[] = {0, 2, 1 << 16};
  auto const with = [](int field, PluginField const& changed) {
    std::vector<PluginField> fields = default_fields("PrepareImages");
    fields[field] = changed;
    return fields;
  };
  auto const floats = [](char const* name, float const* values, int32_t count = 3) {
    return PluginField{name, values, PluginFieldType::kFLOAT32, count};
  };
  auto const size = [](char const* name, int32_t const* value) {
    return PluginField{name, value, PluginFieldType::kINT32, 1};
  };
  auto const refused = [&](std::vector<PluginField> const& fields) {
    return refuses(libraries, "PrepareImages", fields);
  };
  require(!refused(with(2, floats("mean", numbers))), "refuses good fields");
  for (int field = 0; field < 5; ++field) require(refused(with(field, {})), "takes a missing field");
  require(refused(with(0, size("height", &sizes[0]))), "takes a height of 0");
  require(refused(with(2, floats("mean", numbers, 4))), "takes four means");
  require(refused(with(2, floats("mean", nowhere))) && refused(with(2, floats("mean", endless))), "takes any mean");
  for (float const* wrong : {zero, nowhere, endless}) {
    require(refused(with(3, floats("deviation", wrong))), "takes a deviation that is not positive");
  }
  require(refused(with(4, size("dtype", &sizes[1]))), "takes an unknown dtype");
}

// Every type at every position, all else right: only the types of the signature pass, linear or, as FP16 maps, packed.
void formats(Libraries const& libraries) {
  for (char const* name : kNames) {
    int32_t const inputs = input_count(name);
    for (DataType real : {DataType::kFLOAT, DataType::kHALF}) {
      Plugin const made = create(libraries.plugins, name, default_fields(name, real));
      std::vector<DataType> const types = types_of(name, real);
      auto const outputs = static_cast<int32_t>(types.size()) - inputs;
      for (int32_t position = 0; position < static_cast<int32_t>(types.size()); ++position) {
        for (DataType type : kTypes) {
          std::vector<DynamicPluginTensorDesc> tensors = tensors_of(name, real);
          tensors[position].desc.type = type;
          // The first tensor's type decides that of the others, so it may be either.
          bool const first_real = position == 0 && types_of(name, DataType::kHALF)[0] == DataType::kHALF;
          bool const expected =
              first_real ? type == DataType::kFLOAT || type == DataType::kHALF : type == types[position];
          bool const got = made.build->supportsFormatCombination(position, tensors.data(), inputs, outputs);
          require(got == expected, std::string(name) + ": type " + std::to_string(static_cast<int32_t>(type)) +
                                       " at position " + std::to_string(position));
          // Maps of FP16 may be packed, nothing else.
          bool const map = std::strcmp(name, "PillarMax") == 0 ? position == 2 : position == 1 || position == 4;
          bool const packs = map && std::strcmp(name, "Voxelize") != 0 && expected && type == DataType::kHALF;
          for (int32_t format = 1; format < 13; ++format) {
            tensors[position].desc.format = static_cast<TensorFormat>(format);
            bool const takes = made.build->supportsFormatCombination(position, tensors.data(), inputs, outputs);
            require(takes == (packs && format == static_cast<int32_t>(TensorFormat::kHWC8)),
                    std::string(name) + ": format " + std::to_string(format) + " at " + std::to_string(position));
          }
        }
      }
      std::vector<DynamicPluginTensorDesc> const tensors = tensors_of(name, real);
      require(!made.build->supportsFormatCombination(-1, tensors.data(), inputs, outputs), "position -1");
      require(!made.build->supportsFormatCombination(99, tensors.data(), inputs, outputs), "position 99");
      require(!made.build->supportsFormatCombination(0, nullptr, inputs, outputs), "null tensors");
      require(!made.build->supportsFormatCombination(0, tensors.data(), inputs + 1, outputs), "too many inputs");
    }
  }
}

void output_types(Libraries const& libraries) {
  for (char const* name : kNames) {
    for (DataType real : {DataType::kFLOAT, DataType::kHALF}) {
      Plugin const made = create(libraries.plugins, name, default_fields(name, real));
      std::vector<DataType> const types = types_of(name, real);
      int32_t const inputs = input_count(name);
      auto const outputs = static_cast<int32_t>(types.size()) - inputs;
      DataType got[2] = {DataType::kBOOL, DataType::kBOOL};
      require(made.build->getOutputDataTypes(got, outputs, types.data(), inputs) == 0, "getOutputDataTypes fails");
      for (int32_t i = 0; i < outputs; ++i) require(got[i] == types[inputs + i], "wrong output type");
      require(made.build->getOutputDataTypes(nullptr, outputs, types.data(), inputs) != 0, "takes null");
      require(made.build->getOutputDataTypes(got, outputs + 1, types.data(), inputs) != 0, "takes a wrong count");
    }
  }
}

// Known dimensions, then all dynamic: constants stay constants, dynamic ones are passed on.
void output_shapes(Libraries const& libraries) {
  for (char const* name : kNames) {
    Plugin const made = create(libraries.plugins, name, default_fields(name));
    Signature const signature = signature_of(name);
    int32_t const inputs = input_count(name);
    auto const outputs = static_cast<int32_t>(signature.outputs.size());
    Builder builder;
    std::vector<DimsExprs> dims;
    for (auto const& values : signature.inputs) dims.push_back(builder.dims(values));
    DimsExprs got[2] = {};
    require(made.build->getOutputShapes(dims.data(), inputs, nullptr, 0, got, outputs, builder) == 0, "fails");
    for (int32_t i = 0; i < outputs; ++i) {
      require(got[i].nbDims == static_cast<int32_t>(signature.outputs[i].size()), "wrong rank");
      for (int32_t d = 0; d < got[i].nbDims; ++d) {
        require(got[i].d[d]->isConstant(), "not constant");
        require(got[i].d[d]->getConstantValue() == signature.outputs[i][d], "wrong extent");
      }
    }
    std::vector<DimsExprs> dynamic;
    for (auto const& values : signature.inputs)
      dynamic.push_back(builder.dims(std::vector<int64_t>(values.size(), -1)));
    require(made.build->getOutputShapes(dynamic.data(), inputs, nullptr, 0, got, outputs, builder) == 0, "fails");
    bool const maps = std::strcmp(name, "PillarMax") == 0 || std::strcmp(name, "BevPool") == 0;
    int const passed_on = maps ? 1 : 0;
    require(!got[0].d[passed_on]->isConstant(), "a dynamic dimension became a constant");
    for (int32_t i = 0; i < inputs; ++i) {
      std::vector<DimsExprs> wrong = dims;
      ++wrong[i].nbDims;
      require(made.build->getOutputShapes(wrong.data(), inputs, nullptr, 0, got, outputs, builder) != 0,
              std::string(name) + " takes a wrong rank of input " + std::to_string(i));
    }
    require(made.build->getOutputShapes(dims.data(), inputs - 1, nullptr, 0, got, outputs, builder) != 0, "inputs");
  }
}

size_t lines_of(std::string const& text) { return static_cast<size_t>(std::count(text.begin(), text.end(), '\n')); }

// Every type at every input: the wrong ones are refused in one line that names the tensor. Probing formats says
// nothing.
void types_refused(Libraries const& libraries) {
  VersionedRecorder recorder;
  libraries.plugins.set_logger_finder(&recorder);
  for (char const* name : kNames) {
    Plugin const made = create(libraries.plugins, name, default_fields(name));
    std::vector<DataType> const right = types_of(name, DataType::kHALF);
    int32_t const inputs = input_count(name);
    auto const outputs = static_cast<int32_t>(right.size()) - inputs;
    for (int32_t i = 0; i < inputs; ++i) {
      for (DataType type : {DataType::kINT8, DataType::kBOOL, DataType::kUINT8, DataType::kBF16, DataType::kINT64}) {
        if (type == right[i]) continue;  // the bytes of images
        std::vector<DataType> types = right;
        types[i] = type;
        std::vector<DynamicPluginTensorDesc> tensors = tensors_of(name, DataType::kHALF);
        tensors[i].desc.type = type;
        DataType got[2];
        recorder.memory.text.clear();
        require(!made.build->supportsFormatCombination(i, tensors.data(), inputs, outputs), "supports a wrong type");
        require(recorder.memory.text.empty(), "a probe is logged: " + recorder.memory.text);
        require(made.build->getOutputDataTypes(got, outputs, types.data(), inputs) != 0, "takes a wrong type");
        std::string const& text = recorder.memory.text;
        require(lines_of(text) == 1 && text.find(std::string("1 vexkd: ") + name + " takes ") == 0, "logged: " + text);
        require(text.find(", expected ") != std::string::npos, "does not say what it takes: " + text);
      }
    }
  }
  libraries.plugins.set_logger_finder(nullptr);
}

// A wrong constant, a dimension that only the profile fixes, and the same dimension unknown, which must pass.
void shapes_refused_at_build(Libraries const& libraries) {
  struct Wrong {
    char const* plugin;
    int32_t input, axis;
    int64_t extent;
    char const* reason;
  };
  Wrong const cases[] = {
      {"Voxelize", 0, 1, 4, "points has the shape (500, 4), expected (N, 5)"},
      {"Voxelize", 1, 0, 2, "count has the shape (2), expected (1)"},
      {"PillarMax", 1, 0, 501, "cells has the shape (501), expected (500)"},
      {"BevPool", 0, 0, 3, "context has the shape (2, 80, 5, 7), expected (3, C, 5, 7)"},
      {"BevPool", 1, 3, 8, "context has the shape (2, 80, 5, 8), expected (2, C, 5, 7)"},
      {"PrepareImages", 0, 3, 4, "images has the shape (2, 45, 80, 4), expected (V, H, W, 3)"},
      {"BevPool", 3, 0, 7, "starts has the shape (7), expected (769)"},
  };
  VersionedRecorder recorder;
  libraries.plugins.set_logger_finder(&recorder);
  for (auto const& [name, input, axis, extent, reason] : cases) {
    Plugin const made = create(libraries.plugins, name, default_fields(name));
    int32_t const inputs = input_count(name);
    std::vector<DynamicPluginTensorDesc> tensors = tensors_of(name, DataType::kFLOAT);
    auto const outputs = static_cast<int32_t>(tensors.size()) - inputs;
    auto const configure = [&] {
      recorder.memory.text.clear();
      return made.build->configurePlugin(tensors.data(), inputs, tensors.data() + inputs, outputs) == 0;
    };
    require(configure() && recorder.memory.text.empty(), std::string(name) + " refuses its signature");
    DynamicPluginTensorDesc& tensor = tensors[input];
    tensor.desc.dims.d[axis] = -1;
    tensor.min.d[axis] = 1;
    tensor.max.d[axis] = 1000;
    require(configure(), std::string(name) + " refuses an unknown dimension");
    tensor.min.d[axis] = tensor.max.d[axis] = extent;
    require(!configure() && lines_of(recorder.memory.text) == 1, "takes a wrong extent of the profile");
    require(recorder.memory.text.find(reason) != std::string::npos, "logged: " + recorder.memory.text);
    tensor.desc.dims.d[axis] = extent;
    require(!configure() && recorder.memory.text.find(reason) != std::string::npos, "takes a wrong constant");
    Builder builder;
    DimsExprs got[2] = {};
    std::vector<DimsExprs> dims;
    for (int32_t i = 0; i < inputs; ++i) {
      Dims const& given = tensors[i].desc.dims;
      dims.push_back(builder.dims({given.d, given.d + given.nbDims}));
    }
    recorder.memory.text.clear();
    require(made.build->getOutputShapes(dims.data(), inputs, nullptr, 0, got, outputs, builder) != 0,
            "takes a constant");
    require(lines_of(recorder.memory.text) == 1, "not one line: " + recorder.memory.text);
    require(recorder.memory.text.find(reason) != std::string::npos, "logged: " + recorder.memory.text);
  }
  libraries.plugins.set_logger_finder(nullptr);
}

bool same_fields(PluginFieldCollection const& got, std::vector<PluginField> const& expected) {
  if (got.nbFields != static_cast<int32_t>(expected.size())) return false;
  for (size_t i = 0; i < expected.size(); ++i) {
    PluginField const& field = got.fields[i];
    if (std::strcmp(field.name, expected[i].name) != 0 || field.type != expected[i].type ||
        field.length != expected[i].length ||
        std::memcmp(field.data, expected[i].data, static_cast<size_t>(field.length) * 4) != 0) {
      return false;
    }
  }
  return true;
}

// A clone lives on when its original is gone and its memory is used for something else.
void clone_outlives_original(Libraries const& libraries) {
  for (char const* name : kNames) {
    for (bool attach : {false, true}) {
      auto original = std::make_unique<Plugin>(create(libraries.plugins, name, default_fields(name)));
      PluginFieldCollection const* const original_fields = original->runtime->getFieldsToSerialize();
      void const* const original_data = original_fields->fields[0].data;
      PluginField const* const original_list = original_fields->fields;
      Plugin const clone(attach ? original->runtime->attachToContext(nullptr) : original->plugin->clone());
      PluginFieldCollection const& fields = *clone.runtime->getFieldsToSerialize();
      require(fields.fields[0].data != original_data && fields.fields != original_list, "points into its original");
      original.reset();
      std::vector<std::unique_ptr<Plugin>> others;  // allocated where the original was
      static float const other_range[6] = {-1, -1, -1, 1, 1, 1}, other_cell[2] = {1, 1};
      static int32_t const other_size = 3;
      std::vector<PluginField> other_fields =
          std::strcmp(name, "PrepareImages") == 0 ? default_fields(name, DataType::kHALF) : default_fields(name);
      for (PluginField& field : other_fields) {
        if (std::strcmp(name, "PrepareImages") == 0) break;
        if (field.type == PluginFieldType::kINT32) {
          field.data = &other_size;
        } else {
          field.data = field.length == 2 ? other_cell : other_range;
        }
      }
      for (int i = 0; i < 8; ++i) {
        others.push_back(std::make_unique<Plugin>(create(libraries.plugins, name, other_fields)));
      }
      require(same_fields(fields, default_fields(name)), std::string(name) + ": the clone's fields changed");
    }
  }
}

// What a plugin serialises, an engine gives back at run time.
void serialised_fields_restore(Libraries const& libraries) {
  for (char const* name : kNames) {
    Plugin const built = create(libraries.plugins, name, default_fields(name));
    PluginFieldCollection const& fields = *built.runtime->getFieldsToSerialize();
    std::vector<PluginField> const copies(fields.fields, fields.fields + fields.nbFields);
    Plugin const restored = create(libraries.plugins, name, copies, TensorRTPhase::kRUNTIME);
    require(same_fields(*restored.runtime->getFieldsToSerialize(), default_fields(name)), "fields were lost");
  }
}

void shape_change(Libraries const& libraries) {
  for (char const* name : kNames) {
    Plugin const made = create(libraries.plugins, name, default_fields(name));
    int32_t const inputs = input_count(name);
    std::vector<PluginTensorDesc> descs;
    for (DynamicPluginTensorDesc const& tensor : tensors_of(name, DataType::kFLOAT)) descs.push_back(tensor.desc);
    auto const outputs = static_cast<int32_t>(descs.size()) - inputs;
    auto const change = [&](std::vector<PluginTensorDesc> const& with) {
      return made.runtime->onShapeChange(with.data(), inputs, with.data() + inputs, outputs);
    };
    require(change(descs) == 0, std::string(name) + " refuses its signature");
    require(made.runtime->onShapeChange(nullptr, inputs, descs.data(), outputs) != 0, "takes null");
    for (int32_t i = 0; i < inputs; ++i) {
      std::vector<PluginTensorDesc> wrong = descs;
      wrong[i].dims.nbDims += 1;
      wrong[i].dims.d[wrong[i].dims.nbDims - 1] = 1;
      require(change(wrong) != 0, std::string(name) + " takes a wrong rank");
    }
    std::vector<PluginTensorDesc> wrong = descs;
    if (inputs > 1) {
      wrong[1].dims.d[0] += 1;  // count of 2, one cell more than rows, another number of views
    } else {
      wrong[0].dims.d[3] += 1;  // images of four channels
    }
    require(change(wrong) != 0, std::string(name) + " takes inputs that do not fit together");
    wrong = descs;
    wrong[0].dims.d[0] = int64_t{INT_MAX} + 1;
    require(change(wrong) != 0, std::string(name) + " takes an extent of 2^31");
  }
}

size_t workspace_of(Plugin const& plugin, std::string const& name,
                    std::vector<DynamicPluginTensorDesc> const& tensors) {
  int32_t const inputs = input_count(name);
  return plugin.build->getWorkspaceSize(tensors.data(), inputs, tensors.data() + inputs,
                                        static_cast<int32_t>(tensors.size()) - inputs);
}

// Taken from the largest shapes, whatever the current ones are; never smaller for larger ones.
void workspace(Libraries const& libraries) {
  for (char const* name : kNames) {
    Plugin const made = create(libraries.plugins, name, default_fields(name));
    std::vector<DynamicPluginTensorDesc> const tensors = tensors_of(name, DataType::kFLOAT);
    size_t const size = workspace_of(made, name, tensors);
    if (std::strcmp(name, "PrepareImages") == 0) {
      require(size == 0, "PrepareImages asks for a workspace");
      continue;
    }
    require(size > 0, std::string(name) + " asks for no workspace");
    std::vector<DynamicPluginTensorDesc> dynamic = tensors;
    for (DynamicPluginTensorDesc& tensor : dynamic) {
      for (int32_t d = 0; d < tensor.desc.dims.nbDims; ++d) tensor.desc.dims.d[d] = -1;
    }
    require(workspace_of(made, name, dynamic) == size, std::string(name) + " does not look at the largest shapes");
    std::vector<DynamicPluginTensorDesc> larger = tensors;
    for (DynamicPluginTensorDesc& tensor : larger) {
      if (tensor.desc.dims.nbDims != 1)
        tensor.max.d[1] = tensor.desc.dims.d[1] * (std::strcmp(name, "BevPool") ? 1 : 4);
      tensor.max.d[0] *= 4;
    }
    require(workspace_of(made, name, larger) >= size, std::string(name) + " asks for less at larger shapes");
    require(workspace_of(made, name, larger) > size || std::strcmp(name, "Voxelize") == 0, "ignores larger shapes");
    std::vector<DynamicPluginTensorDesc> absurd = tensors;
    absurd[0].max.d[0] = (int64_t{1} << 32) + 1;
    require(workspace_of(made, name, absurd) >= size_t{1} << 50, "an engine could be built with too little workspace");
  }
}

// Nothing here reaches a kernel: every pointer is null or misaligned, which must end as an error and a message.
void enqueue_refuses_bad_pointers(Libraries const& libraries) {
  VersionedRecorder recorder;
  libraries.plugins.set_logger_finder(&recorder);
  for (char const* name : kNames) {
    Plugin const made = create(libraries.plugins, name, default_fields(name));
    int32_t const inputs = input_count(name);
    std::vector<PluginTensorDesc> descs;
    for (DynamicPluginTensorDesc const& tensor : tensors_of(name, DataType::kFLOAT)) descs.push_back(tensor.desc);
    void const* null_inputs[4] = {};
    void* null_outputs[2] = {};
    auto const enqueue = [&](void const* const* in, void* const* out, void* scratch) {
      return made.runtime->enqueue(descs.data(), descs.data() + inputs, in, out, scratch, nullptr);
    };
    require(enqueue(nullptr, null_outputs, nullptr) != 0 && enqueue(null_inputs, nullptr, nullptr) != 0, "takes null");
    require(made.runtime->enqueue(nullptr, nullptr, null_inputs, null_outputs, nullptr, nullptr) != 0, "null descs");
    recorder.memory.text.clear();
    require(enqueue(null_inputs, null_outputs, nullptr) != 0, "takes null tensors");
    require(recorder.memory.text.find(std::string("1 vexkd: ") + name + " failed") == 0, "the failure is not logged");
    auto* const odd = reinterpret_cast<char*>(uintptr_t{0x10001});
    void const* odd_inputs[4] = {odd, odd, odd, odd};
    void* odd_outputs[2] = {odd, odd};
    require(enqueue(odd_inputs, odd_outputs, odd) != 0, "takes misaligned tensors");
    std::vector<PluginTensorDesc> const right = descs;
    descs[0].dims.d[0] = int64_t{1} << 40;
    require(enqueue(odd_inputs, odd_outputs, odd) != 0, "takes an extent of 2^40");
    descs = right;
  }
  libraries.plugins.set_logger_finder(nullptr);
}

// Loggers of TensorRT 10 and of 11 have other layouts; an unknown finder must not be called at all.
void loggers_of_all_generations(Libraries const& libraries) {
  struct Unknown : IVersionedInterface {
    InterfaceInfo getInterfaceInfo() const noexcept override { return {"ILoggerFinder", 9, 0}; }
    virtual void* findLogger() { std::abort(); }
  };
  PlainRecorder plain;
  VersionedRecorder versioned;
  Unknown unknown;
  auto const provoke = [&](void* finder) {
    libraries.plugins.set_logger_finder(finder);
    require(refuses(libraries, "PillarMax", {}), "takes no fields");
    libraries.plugins.set_logger_finder(nullptr);
  };
  provoke(&plain);
  provoke(&versioned);
  for (std::string const& text : {plain.memory.text, versioned.memory.text}) {
    require(text.find("1 vexkd: attribute height must be one positive integer\n") == 0, "not logged: " + text);
  }
  provoke(&unknown);
  provoke(nullptr);
}

// The device checks' inputs exercise what they should, on machines without a device too.
void cases_are_telling(Libraries const& libraries) {
  for (Case const& data : make_cases(libraries)) {
    std::vector<std::vector<uint8_t>> outputs;
    for (Tensor const& tensor : data.expected) outputs.push_back(tensor.bytes);
    compare(data, outputs);
    size_t zeros = 0;
    for (uint8_t byte : outputs[0]) zeros += byte == 0;
    bool const hollow = data.name == "Voxelize 0 of 300" || data.name.rfind("PillarMax 0x", 0) == 0;
    require(zeros > 0, data.name + ": nothing is empty or dropped");
    require((zeros == outputs[0].size()) == hollow, data.name + ": unexpectedly hollow or full");
    if (hollow) continue;
    outputs[0][outputs[0].size() - 1] ^= 0x40;  // the exponent of the last element
    bool noticed = false;
    try {
      compare(data, outputs);
    } catch (Failure const&) {
      noticed = true;
    }
    require(noticed, data.name + ": the comparison overlooks a wrong value");
  }
}

}  // namespace

std::vector<Check> host_checks() {
  return {{"creators", creators},
          {"identity", identity},
          {"fields_refused", fields_refused},
          {"image_fields_refused", image_fields_refused},
          {"formats", formats},
          {"output_types", output_types},
          {"output_shapes", output_shapes},
          {"types_refused", types_refused},
          {"shapes_refused_at_build", shapes_refused_at_build},
          {"clone_outlives_original", clone_outlives_original},
          {"serialised_fields_restore", serialised_fields_restore},
          {"shape_change", shape_change},
          {"workspace", workspace},
          {"enqueue_refuses_bad_pointers", enqueue_refuses_bad_pointers},
          {"loggers_of_all_generations", loggers_of_all_generations},
          {"cases_are_telling", cases_are_telling}};
}

}  // namespace harness
