#include "manifest.hpp"

#include <algorithm>
#include <cstring>

#include "failure.hpp"
#include "json_fields.hpp"
#include "vexkd/perception.h"

namespace vexkd::runtime {
namespace {

constexpr size_t kMaxReason = 1000;  // bytes; a hostile manifest may have names of a megabyte
constexpr double kMaxMetres = 1 << 20;
constexpr double kMaxAmount = int64_t{1} << 40;  // of a cost
constexpr const char* kPointColumns[] = {"x", "y", "z", "intensity", "age"};

double metres(const Value& value) { return number(value, -kMaxMetres, kMaxMetres); }
float length(const Value& value) { return static_cast<float>(number(value, 0, kMaxMetres)); }

template <typename Sizes>
bool fits_int32(const Sizes& sizes) {
  __int128 product = 1;
  for (const auto size : sizes) {
    product *= size;  // both below 2^31, so far
    if (product > INT32_MAX) return false;
  }
  return true;
}

const std::string kTooMany = "more than " + std::to_string(INT32_MAX) + " ";

Tensor read_tensor(const Value& value) {
  Object section(value, "Tensor");
  Tensor tensor;
  tensor.name = text(section.at("name"));
  tensor.shape = list(section.at("shape"), 0, [](const Value& side) { return whole(side, 1, INT32_MAX); });
  tensor.type = static_cast<ElementType>(choice(section.at("dtype"), {"uint8", "int32", "float32"}));
  text(section.at("unit"));
  section.finish();
  if (!fits_int32(tensor.shape)) refuse(section.place(), kTooMany + "elements");
  return tensor;
}

GridSection read_grid(const Value& value) {
  Object section(value, "Grid");
  GridSection grid;
  pair(section.at("x"), metres, grid.x);
  pair(section.at("y"), metres, grid.y);
  pair(section.at("z"), metres, grid.z);
  grid.cell = metres(section.at("cell"));
  grid.height = size(section.at("height"));
  grid.width = size(section.at("width"));
  section.finish();
  const auto low = [&](int end) {
    return std::array<float, 3>{static_cast<float>(grid.x[end]), static_cast<float>(grid.y[end]),
                                static_cast<float>(grid.z[end])};
  };
  const std::array<float, 3> begin = low(0), end = low(1);
  const float range[6] = {begin[0], begin[1], begin[2], end[0], end[1], end[2]};
  const float cell[2] = {static_cast<float>(grid.cell), static_cast<float>(grid.cell)};
  vexkd_grid made;
  if (vexkd_make_grid(range, cell, &made) != VEXKD_OK) refuse(section.place(), "x, y, z and cell make no grid");
  if (made.height != grid.height || made.width != grid.width) {
    refuse(section.place(), "height and width are " + std::to_string(grid.height) + " and " +
                                std::to_string(grid.width) + ", but x, y and cell make " + std::to_string(made.height) +
                                " and " + std::to_string(made.width));
  }
  return grid;
}

std::string told(const int32_t (&size)[2]) {
  return "[" + std::to_string(size[0]) + ", " + std::to_string(size[1]) + "]";
}

CameraSection read_camera(const Value& value) {
  Object section(value, "CameraInput");
  CameraSection camera;
  camera.cameras = names(section.at("cameras"));
  pair(section.at("raw_size"), size, camera.raw_size);
  pair(section.at("image_size"), size, camera.image_size);
  pair(section.at("feature_size"), size, camera.feature_size);
  camera.stride = size(section.at("stride"));
  camera.depths = list(section.at("depths"), 1, length);
  pair(section.at("z"), metres, camera.z);
  section.finish();
  const int32_t made[2] = {camera.image_size[0] / camera.stride, camera.image_size[1] / camera.stride};
  if (!std::equal(made, made + 2, camera.feature_size)) {
    refuse(section.place(),
           "feature_size is " + told(camera.feature_size) + ", but image_size and stride make " + told(made));
  }
  const float range[6] = {0, 0, static_cast<float>(camera.z[0]), 1, 1, static_cast<float>(camera.z[1])};
  const float cell[2] = {1, 1};
  vexkd_grid grid;
  if (vexkd_make_grid(range, cell, &grid) != VEXKD_OK) refuse(section.place(), "z is no range of heights");
  if (!fits_int32(std::array<size_t, 4>{camera.cameras.size(), camera.depths.size(), static_cast<size_t>(made[0]),
                                        static_cast<size_t>(made[1])})) {
    refuse(section.place(), kTooMany + "frustum points");
  }
  return camera;
}

PointSection read_points(const Value& value) {
  Object section(value, "PointInput");
  PointSection points;
  points.capacity = size(section.at("capacity"));
  points.sweeps = count(section.at("sweeps"));
  points.own_vehicle = length(section.at("own_vehicle"));
  if (const std::optional<Value> columns = section.find("columns")) {
    const std::vector<std::string> found = list(*columns, 0, text);
    if (!std::equal(found.begin(), found.end(), std::begin(kPointColumns), std::end(kPointColumns))) {
      std::string told;
      for (const std::string& name : found) told += (told.empty() ? "" : ", ") + name;
      refuse(columns->place, "must be x, y, z, intensity, age, got " + told);
    }
  }
  section.finish();
  return points;
}

constexpr const char* kSuppressions[] = {"circle", "rotated", "scaled"};

// A class's entry, as the manifest has it.
struct ClassSelection {
  size_t suppression;  // of kSuppressions
  vexkd_class_rule rule;
};

ClassSelection read_class_selection(const Value& value) {
  Object section(value, "ClassSelection");
  ClassSelection entry;
  entry.rule.group = static_cast<int32_t>(whole(section.at("group"), -1, INT32_MAX));
  entry.suppression = choice(section.at("suppression"), {kSuppressions[0], kSuppressions[1], kSuppressions[2]});
  entry.rule.overlap = entry.suppression == 0 ? VEXKD_CIRCLE : VEXKD_ROTATED_IOU;
  const double limit = number(section.at("limit"), 0, kMaxMetres), scale = number(section.at("scale"), 0, kMaxMetres);
  entry.rule.limit = static_cast<float>(limit);
  entry.rule.scale = static_cast<float>(scale);
  section.finish();
  if (entry.rule.overlap != VEXKD_CIRCLE && limit > 1) {
    refuse(section.place(), "limit is an intersection over union, which is 1 at most");
  }
  if (std::strcmp(kSuppressions[entry.suppression], "scaled") != 0 && scale != 1) {
    refuse(section.place(), std::string("scale must be 1 where suppression is ") + kSuppressions[entry.suppression]);
  }
  return entry;
}

SelectionSection read_selection(const Value& value) {
  Object section(value, "Selection");
  SelectionSection selection;
  selection.score_threshold = static_cast<float>(number(section.at("score_threshold"), 0, 1));
  const std::vector<ClassSelection> classes = list(section.at("classes"), 0, read_class_selection);
  section.finish();
  std::map<int32_t, size_t> kinds;
  for (const auto& [suppression, rule] : classes) {
    const size_t kind = kinds.emplace(rule.group, suppression).first->second;
    if (kind != suppression) {
      refuse(section.place(), "group " + std::to_string(rule.group) + " has " + kSuppressions[kind] + " and " +
                                  kSuppressions[suppression] + " classes");
    }
    selection.rules.push_back(rule);
  }
  return selection;
}

// The run's name; the rest of source is for people.
std::string read_source(const Value& value) {
  Object section(value, "Source");
  const std::string run = text(section.at("run"));
  digest(section.at("weights_sha256"));
  const Value commit = section.at("git_commit");
  if (!commit.content.is_null()) text(commit);
  for (const char* key : {"vexkd", "torch", "onnx", "stage"}) text(section.at(key));
  section.finish();
  return run;
}

void check_parity(const Value& value) {
  Object section(value, "Parity");
  text(section.at("inputs"));
  text(section.at("runtime"));
  each_entry(section.at("outputs"), [](const std::string&, const Value& entry) {
    Object output(entry, "OutputParity");
    number(output.at("max_abs"));
    number(output.at("max_rel"));
    output.finish();
  });
  const Value boxes = section.at("boxes");
  if (!boxes.content.is_null()) {
    Object parity(boxes, "BoxParity");
    for (const char* key : {"count", "ties", "unmatched"}) count(parity.at(key));
    for (const char* key : {"max_centre", "max_score"}) number(parity.at(key));
    parity.finish();
  }
  section.finish();
}

// Whether a loss beyond the limit was accepted; null was not measured.
bool read_accuracy(const Value& value) {
  if (value.content.is_null()) return false;
  Object section(value, "Accuracy");
  text(section.at("split"));
  size(section.at("frames"));
  size(section.at("available"));
  text(section.at("runtime"));
  each_entry(section.at("metrics"), [](const std::string&, const Value& entry) {
    Object metric(entry, "Metric");
    number(metric.at("reference"));
    number(metric.at("bundle"));
    length(metric.at("limit"));
    metric.finish();
  });
  flag(section.at("passed"));
  const bool accepted = flag(section.at("accepted"));
  section.finish();
  return accepted;
}

double check_amount(const Value& value) { return number(value, 0, kMaxAmount); }

bool check_stage_cost(const Value& value) {
  Object section(value, "StageCost");
  text(section.at("stage"));
  check_amount(section.at("gflops"));
  each_entry(section.at("gmacs"), [](const std::string&, const Value& entry) { check_amount(entry); });
  whole(section.at("parameters"), 0, INT64_MAX);
  for (const char* key : {"megabytes", "weight_megabytes"}) check_amount(section.at(key));
  list(section.at("kernel_megabytes"), 0, check_amount);
  count(section.at("launches"));
  section.finish();
  return true;
}

void check_cost(const Value& value) {
  Object section(value, "Cost");
  number(section.at("gflops"));
  each_entry(section.at("gflops_by_operator"), [](const std::string&, const Value& entry) { number(entry); });
  whole(section.at("parameters"), 0, INT64_MAX);
  list(section.at("stages"), 0, check_stage_cost);
  section.finish();
}

// How many by type and kind; for people.
void check_counts(const Value& value) {
  each_entry(value, [](const std::string&, const Value& kinds) {
    each_entry(kinds, [](const std::string&, const Value& entry) { count(entry); });
  });
}

EngineSection read_engine(const Value& value) {
  Object section(value, "Engine");
  EngineSection engine;
  engine.target = text(section.at("target"));
  engine.file = text(section.at("file"));
  const Value flavour = section.at("flavour");
  choice(flavour, {"tensorrt", "tensorrt_rtx"});
  engine.flavour = flavour.content.get<std::string>();
  engine.version = text(section.at("version"));
  engine.compute_capability = text(section.at("compute_capability"));
  engine.plugin_library_sha256 = digest(section.at("plugin_library_sha256"));
  engine.gpu_code = flag(section.at("gpu_code"));
  count(section.at("plugin_layers"));
  check_counts(section.at("layers"));
  whole(section.at("size"), 0, INT64_MAX);
  for (const char* key : {"activation_bytes", "weight_bytes"}) {
    const Value bytes = section.at(key);
    if (!bytes.content.is_null()) whole(bytes, 0, INT64_MAX);
  }
  section.finish();
  return engine;
}

bool is_plain_name(const std::string& name) {
  constexpr const char* kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !name.empty() && name.size() <= 255 && std::strchr("._-", name[0]) == nullptr &&
         name.find_first_not_of(kLetters) == std::string::npos && name != kManifest;
}

std::map<std::string, std::string> read_files(const Value& value) {
  std::map<std::string, std::string> files;
  each_entry(value, [&](const std::string& name, const Value& entry) {
    if (!entry.content.is_string()) refuse(entry.place, "Input should be a valid string");
    files[name] = entry.content.get<std::string>();
  });
  for (const auto& [name, digits] : files) {
    if (!is_plain_name(name)) refuse(value.place, "'" + name + "' is no plain file name inside the bundle");
    if (!is_digest(digits)) refuse(value.place, name + " has a malformed sha256 '" + digits + "'");
  }
  return files;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string all;
  for (const std::string& part : parts) all += (all.empty() ? "" : ", ") + part;
  return all;
}

void check_files(const Manifest& manifest) {
  std::vector<std::string> needed = {kModel}, missing, foreign;
  for (const EngineSection& engine : manifest.engines) needed.push_back(engine.file);
  if (!manifest.engines.empty()) needed.push_back(kPluginLibrary);
  for (const std::string& name : needed) {
    if (manifest.files.count(name) == 0) missing.push_back(name);
  }
  if (!missing.empty()) refuse("", joined(missing) + " not listed in files");
  for (const EngineSection& engine : manifest.engines) {
    if (engine.plugin_library_sha256 != manifest.files.at(kPluginLibrary)) foreign.push_back(engine.file);
  }
  if (!foreign.empty()) {
    refuse("", joined(foreign) + " was built with another plugin library than the one listed");
  }
}

void check_sections(const Manifest& manifest, const std::vector<std::string>& sensors) {
  const std::vector<std::string> camera = {"camera"}, lidar = {"lidar"}, both = {"camera", "lidar"};
  if (sensors != camera && sensors != lidar && sensors != both) {
    refuse("", "sensors must be camera, lidar or both, in this order");
  }
  if ((sensors != lidar) != manifest.camera.has_value()) {
    refuse("", "the section camera belongs to a model with a camera, and only there");
  }
  if ((sensors != camera) != manifest.points.has_value()) {
    refuse("", "the section points belongs to a model with a lidar, and only there");
  }
  if ((manifest.task == Task::detection) != manifest.selection.has_value()) {
    refuse("", "the section selection belongs to detection, and only there");
  }
  if (manifest.selection && manifest.selection->rules.size() != manifest.classes.size()) {
    refuse("", "selection is for " + std::to_string(manifest.selection->rules.size()) + " classes, the model has " +
                   std::to_string(manifest.classes.size()));
  }
}

std::vector<Tensor> expected_inputs(const Manifest& manifest) {
  std::vector<Tensor> expected;
  if (manifest.camera) {
    const CameraSection& camera = *manifest.camera;
    const auto views = static_cast<int64_t>(camera.cameras.size());
    expected.push_back({"images", {views, camera.raw_size[0], camera.raw_size[1], 3}, ElementType::uint8});
    expected.push_back({"rays", {views, 3, 3}, ElementType::float32});
    expected.push_back({"origins", {views, 3}, ElementType::float32});
  }
  if (manifest.points) {
    expected.push_back({"points", {manifest.points->capacity, VEXKD_POINT_SIZE}, ElementType::float32});
    expected.push_back({"count", {1}, ElementType::int32});
  }
  return expected;
}

// With the number of boxes or the size of the map as the first output has it: it stands nowhere else.
std::vector<Tensor> expected_outputs(const Manifest& manifest) {
  const std::vector<int64_t> first = manifest.outputs.empty() ? std::vector<int64_t>{} : manifest.outputs[0].shape;
  if (manifest.task == Task::segmentation) {
    const bool is_map = first.size() == 3;
    const auto classes = static_cast<int64_t>(manifest.classes.size());
    return {{"logits", {classes, is_map ? first[1] : 1, is_map ? first[2] : 1}, ElementType::float32}};
  }
  const int64_t boxes = first.empty() ? 1 : first[0];
  return {{"boxes", {boxes, 9}, ElementType::float32},
          {"scores", {boxes}, ElementType::float32},
          {"labels", {boxes}, ElementType::int32}};
}

std::string told(const std::vector<Tensor>& tensors) {
  constexpr const char* kTypes[] = {"uint8", "int32", "float32"};
  std::vector<std::string> parts;
  for (const Tensor& tensor : tensors) {
    std::vector<std::string> sides;
    for (const int64_t side : tensor.shape) sides.push_back(std::to_string(side));
    parts.push_back(tensor.name + " " + kTypes[static_cast<int>(tensor.type)] + " [" + joined(sides) + "]");
  }
  return parts.empty() ? "none" : joined(parts);
}

void check_tensors(const char* what, const std::vector<Tensor>& found, const std::vector<Tensor>& expected) {
  const auto same = [](const Tensor& a, const Tensor& b) {
    return a.name == b.name && a.type == b.type && a.shape == b.shape;
  };
  if (!std::equal(found.begin(), found.end(), expected.begin(), expected.end(), same)) {
    refuse("", std::string(what) + " are " + told(found) + ", but task and sections make them " + told(expected));
  }
}

template <typename Section>
std::optional<Section> optional(const Value& value, Section (*read)(const Value&)) {
  return value.content.is_null() ? std::nullopt : std::optional<Section>(read(value));
}

Manifest read_manifest(const json& content) {
  Object section(Value{content, ""}, "Manifest");
  Manifest manifest;
  section.at("schema_version");
  manifest.task = choice(section.at("task"), {"detection", "segmentation"}) == 0 ? Task::detection : Task::segmentation;
  const auto sensor = [](const Value& value) {
    choice(value, {"camera", "lidar"});
    return value.content.get<std::string>();
  };
  const std::vector<std::string> sensors = list(section.at("sensors"), 0, sensor);
  manifest.precision = choice(section.at("precision"), {"fp32", "fp16"}) == 0 ? "fp32" : "fp16";
  manifest.grid = read_grid(section.at("grid"));
  manifest.classes = names(section.at("classes"));
  manifest.inputs = list(section.at("inputs"), 0, read_tensor);
  manifest.outputs = list(section.at("outputs"), 0, read_tensor);
  manifest.camera = optional(section.at("camera"), read_camera);
  manifest.points = optional(section.at("points"), read_points);
  manifest.selection = optional(section.at("selection"), read_selection);
  manifest.run = read_source(section.at("source"));
  check_parity(section.at("parity"));
  manifest.accepted = read_accuracy(section.at("accuracy"));
  check_cost(section.at("cost"));
  check_counts(section.at("nodes"));
  if (const std::optional<Value> engines = section.find("engines")) manifest.engines = list(*engines, 0, read_engine);
  manifest.files = read_files(section.at("files"));
  const std::optional<Value> sha256 = section.find("sha256");
  manifest.sha256 = sha256 ? digest(*sha256) : std::string(64, '0');
  section.finish();
  check_files(manifest);
  check_sections(manifest, sensors);
  check_tensors("inputs", manifest.inputs, expected_inputs(manifest));
  check_tensors("outputs", manifest.outputs, expected_outputs(manifest));
  return manifest;
}

void check_schema(const json& content, const std::string& path, const std::string& again) {
  const json version = content.is_object() ? content.value("schema_version", json()) : json();
  if (!version.is_number_integer()) {
    fail(VEXKD_DAMAGED, path + "/" + kManifest + " names no schema version, so it is no bundle's manifest; " + again);
  }
  if (version == kSchemaVersion) return;
  const std::string told =
      path + " has manifest schema " + version.dump() + ", this VeXKD reads " + std::to_string(kSchemaVersion);
  if (version < kSchemaVersion) fail(VEXKD_INCOMPATIBLE, told + "; " + again);
  fail(VEXKD_INCOMPATIBLE, told + ": it was written by a newer one; update with: pip install --upgrade vexkd");
}

std::string shortened(std::string reason) {
  if (reason.size() <= kMaxReason) return reason;
  size_t size = kMaxReason;
  while (size > 0 && (reason[size] & 0xC0) == 0x80) --size;  // not within a character of UTF-8
  return reason.substr(0, size) + "...";
}

}  // namespace

size_t Tensor::elements() const {
  size_t product = 1;
  for (const int64_t side : shape) product *= static_cast<size_t>(side);
  return product;
}

size_t Tensor::bytes() const { return elements() * (type == ElementType::uint8 ? 1 : 4); }

Manifest parse_manifest(std::string_view text, const std::string& path) {
  const std::string file = path + "/" + kManifest, again = remake_unknown(path);
  try {
    const json content = parse_json(text);
    check_schema(content, path, again);
    return read_manifest(content);
  } catch (const BadJson& bad) {
    fail(VEXKD_DAMAGED, file + " is not valid JSON (" + shortened(bad.reason) + "); " + again);
  } catch (const Refusal& refusal) {
    fail(VEXKD_DAMAGED, file + " is damaged: " + shortened(refusal.reason) + "; " + again);
  }
}

std::string remake(const Manifest& manifest) {
  std::string command = "vexkd export " + manifest.run;
  if (manifest.precision == "fp16") command += " --fp16";
  if (manifest.accepted) command += " --accept";
  for (const EngineSection& engine : manifest.engines) command += " --target " + engine.target;
  return command;
}

std::string remake_unknown(const std::string& path) {
  return "export the run again with: vexkd export RUN --out " + path;
}

}  // namespace vexkd::runtime
