// The TensorRT backend for ctypes: a Bundle is put together from texts, so that no file of one is needed.
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "backend.hpp"
#include "failure.hpp"

using namespace vexkd::runtime;

namespace {

std::string message;

template <typename Body>
int32_t guarded(Body body) {
  try {
    body();
    return VEXKD_OK;
  } catch (const Failure& failure) {
    message = failure.message;
    return failure.status;
  }
}

// Lines "input NAME TYPE EXTENT…", "output …", "engine TARGET FLAVOUR VERSION CAPABILITY [cpu-only]".
Manifest read(const char* text) {
  Manifest manifest{};
  manifest.run = "runs/x";
  manifest.precision = "fp16";
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string role, type;
    words >> role;
    if (role == "engine") {
      EngineSection engine;
      words >> engine.target >> engine.flavour >> engine.version >> engine.compute_capability;
      std::string cpu_only;
      words >> cpu_only;
      engine.gpu_code = cpu_only.empty();
      engine.file = engine.target + ".engine";
      manifest.engines.push_back(engine);
      continue;
    }
    Tensor tensor;
    words >> tensor.name >> type;
    tensor.type = type == "uint8" ? ElementType::uint8 : type == "int32" ? ElementType::int32 : ElementType::float32;
    for (int64_t extent; words >> extent;) tensor.shape.push_back(extent);
    (role == "input" ? manifest.inputs : manifest.outputs).push_back(tensor);
  }
  return manifest;
}

struct Given {
  const char* manifest;
  const char* engine;   // content of every engine
  const char* plugins;  // path of the plugin library
  const char* digest;   // its SHA-256
  const char* tensorrt;
  int32_t device;
  int32_t cuda_graph;
};

Bundle bundle_of(const Given& given) {
  Bundle bundle{"/bundles/x.vexkd", "x", read(given.manifest), {}};
  std::ifstream library(given.plugins, std::ios::binary | std::ios::ate);
  std::vector<char>& bytes = bundle.files["libvexkd.so"];
  bytes.resize(static_cast<size_t>(library.tellg()));
  library.seekg(0).read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bundle.manifest.files["libvexkd.so"] = given.digest;
  for (const EngineSection& engine : bundle.manifest.engines) {
    bundle.files[engine.file] = std::vector<char>(given.engine, given.engine + std::strlen(given.engine));
  }
  return bundle;
}

vexkd_perception_options options_of(const Given& given) {
  vexkd_perception_options options{};
  options.device = given.device;
  options.cuda_graph = given.cuda_graph;
  options.tensorrt = given.tensorrt;
  return options;
}

}  // namespace

extern "C" {

const char* calls_message() { return message.c_str(); }
int32_t calls_open(const Given* given, Backend** opened) {
  *opened = nullptr;
  return guarded([&] { *opened = open_tensorrt(bundle_of(*given), options_of(*given)).release(); });
}
int32_t calls_can_run(const Given* given) {
  message.clear();
  return tensorrt_can_run(bundle_of(*given), options_of(*given), message);
}
void* calls_input(Backend* backend, size_t index) { return backend->input(index); }
const void* calls_output(Backend* backend, size_t index) { return backend->output(index); }
const char* calls_name(Backend* backend) { return backend->name().c_str(); }
int32_t calls_bind(Backend* backend, size_t index, const void* data, int32_t memory) {
  return guarded([&] { backend->bind_input(index, data, memory); });
}
int32_t calls_run(Backend* backend) {
  return guarded([&] { backend->run(); });
}
void calls_close(Backend* backend) { delete backend; }

}  // extern "C"
