// manifest.json of a bundle; the fields and their meaning are those of engines/manifest.py, as far as a runtime reads
// them.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vexkd/select_boxes.h"

namespace vexkd::runtime {

inline constexpr int kSchemaVersion = 4;
inline constexpr size_t kMaxManifestBytes = size_t{1} << 20;
inline constexpr const char *kManifest = "manifest.json", *kModel = "model.onnx", *kPluginLibrary = "libvexkd.so";

enum class Task { detection, segmentation };
enum class ElementType { uint8, int32, float32 };

struct Tensor {
  std::string name;
  std::vector<int64_t> shape;
  ElementType type;

  size_t elements() const;
  size_t bytes() const;
};

struct GridSection {
  double x[2], y[2], z[2];
  double cell;
  int32_t height, width;
};

struct CameraSection {
  std::vector<std::string> cameras;
  int32_t raw_size[2], image_size[2], feature_size[2];
  int32_t stride;
  std::vector<float> depths;
  double z[2];
};

struct PointSection {
  int32_t capacity;
  int32_t sweeps;
  float own_vehicle;
};

struct SelectionSection {
  float score_threshold;
  std::vector<vexkd_class_rule> rules;  // one per class
};

struct EngineSection {
  std::string target, file, flavour, version, compute_capability, plugin_library_sha256;
  bool gpu_code;  // whether the bundle's library has some for this GPU; without it the engine never runs
};

struct Manifest {
  Task task;
  std::string precision;
  GridSection grid;
  std::vector<std::string> classes;
  std::vector<Tensor> inputs, outputs;
  std::optional<CameraSection> camera;
  std::optional<PointSection> points;
  std::optional<SelectionSection> selection;
  std::vector<EngineSection> engines;
  bool accepted;                             // a loss of accuracy beyond the limit
  std::string run;                           // source.run, for the command that makes the bundle again
  std::map<std::string, std::string> files;  // SHA-256 by file name
  std::string sha256;
};

// Parse and check the text of a manifest.json, of kMaxManifestBytes at most; `path` is the bundle's, for messages.
// Fails with DAMAGED for what is no manifest or contradicts itself, INCOMPATIBLE for another schema version.
Manifest parse_manifest(std::string_view text, const std::string& path);

// The command that makes such a bundle again, without its output folder.
std::string remake(const Manifest& manifest);
// What to do about a bundle whose manifest cannot say how it was made.
std::string remake_unknown(const std::string& path);

}  // namespace vexkd::runtime
