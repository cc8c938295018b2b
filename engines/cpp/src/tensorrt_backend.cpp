// TensorRT as a backend: the bundle's engine for this GPU, in the library of the TensorRT that built it.
#include <algorithm>
#include <exception>
#include <iterator>
#include <utility>

#include "backend.hpp"
#include "failure.hpp"
#include "tensorrt_execution.hpp"
#include "tensorrt_plugins.hpp"
#include "text.hpp"

namespace vexkd::runtime {
namespace {

struct Choice {
  Gpu gpu;
  EngineSection engine;
  TensorrtLibrary library;
};

const char* install(const std::string& flavour) {
  return flavour == "tensorrt_rtx" ? "pip install 'vexkd[rtx]' (TensorRT for RTX)"
                                   : "pip install 'vexkd[gpu]' (NVIDIA's full TensorRT)";
}

[[noreturn]] void fail_without_gpu_code(const EngineSection& engine, const Bundle& bundle) {
  fail(VEXKD_INCOMPATIBLE,
       text(bundle.path, '/', engine.file, " never runs: it was exported with --cpu-only, and the bundle's ",
            kPluginLibrary, " has no GPU code for compute capability ", engine.compute_capability, "; rebuild the ",
            "library where nvcc is with: make native CUDA=ON, and export the bundle again with: ",
            remake(bundle.manifest), " --out ", bundle.path));
}

// The engines that were built for this GPU and can run on it; of both flavours, there may be two.
std::vector<EngineSection> engines_for(const Gpu& gpu, const Bundle& bundle) {
  std::vector<EngineSection> built, fitting;
  std::string held;
  for (const EngineSection& engine : bundle.manifest.engines) {
    if (engine.compute_capability == gpu.compute_capability) built.push_back(engine);
    held += text(held.empty() ? "" : ", ", engine.target, " (", engine.compute_capability, ")");
  }
  std::copy_if(built.begin(), built.end(), std::back_inserter(fitting),
               [](const EngineSection& engine) { return engine.gpu_code; });
  if (built.empty()) {
    fail(VEXKD_INCOMPATIBLE, text(bundle.path, " holds engines for: ", held.empty() ? "none" : held, "; this GPU is ",
                                  gpu.name, " (", gpu.compute_capability, "); add one with: vexkd export ", bundle.path,
                                  " --add-target ", gpu.compute_capability));
  }
  if (fitting.empty()) fail_without_gpu_code(built.front(), bundle);
  return fitting;
}

// The first of the engines whose TensorRT the loader finds.
Choice choose_by_name(const Gpu& gpu, const std::vector<EngineSection>& engines) {
  std::string reasons;
  for (const EngineSection& engine : engines) {
    try {
      return {gpu, engine, open_tensorrt_library(tensorrt_library_name(engine.flavour))};
    } catch (const Failure& failure) {
      if (failure.status != VEXKD_NO_BACKEND) throw;
      reasons += text(engine.file, " needs ", engine.flavour, ": ", failure.message,
                      "; give its path in the option tensorrt, or put its folder on LD_LIBRARY_PATH, or install it ",
                      "with: ", install(engine.flavour), ". ");
    }
  }
  reasons.resize(reasons.size() - 2);
  fail(VEXKD_NO_BACKEND, reasons);
}

Choice choose_by_path(const Gpu& gpu, const std::vector<EngineSection>& engines, const char* path) {
  const TensorrtLibrary library = open_tensorrt_library(path);
  const auto found = std::find_if(engines.begin(), engines.end(),
                                  [&](const EngineSection& engine) { return engine.flavour == library.flavour; });
  if (found != engines.end()) return {gpu, *found, library};
  fail(VEXKD_INCOMPATIBLE, text(engines.front().file, " needs ", engines.front().flavour, ", ", path, " is ",
                                library.name, "; install it with: ", install(engines.front().flavour)));
}

// Some releases leave the number of the build out of the version they tell Python, which is the engine's.
bool same_version(const std::string& library, const std::string& engine) {
  return library == engine || library.rfind(engine + '.', 0) == 0;
}

Choice choose(const Bundle& bundle, const vexkd_perception_options& options) {
  const Gpu gpu = find_gpu(options.device);
  const std::vector<EngineSection> engines = engines_for(gpu, bundle);
  Choice choice =
      options.tensorrt == nullptr ? choose_by_name(gpu, engines) : choose_by_path(gpu, engines, options.tensorrt);
  const EngineSection& engine = choice.engine;
  if (!same_version(choice.library.version, engine.version)) {
    fail(VEXKD_INCOMPATIBLE,
         text(engine.file, " was built by ", engine.flavour, ' ', engine.version, ", ", choice.library.path, " is ",
              choice.library.version, "; build it again with: vexkd export ", bundle.path, " --add-target ",
              engine.target));
  }
  return choice;
}

class TensorrtBackend final : public Backend {
 public:
  TensorrtBackend(const Choice& choice, std::unique_ptr<TensorrtExecution> execution, bool cuda_graph)
      : device_(choice.gpu.device),
        name_(text(choice.library.name, " (", choice.gpu.name, ")", cuda_graph ? ", CUDA graph" : "")),
        execution_(std::move(execution)) {}
  ~TensorrtBackend() override {
    try {
      const CurrentDevice current(device_);
      execution_.reset();
    } catch (const Failure&) {  // CUDA is gone, as at the end of a process, and all its memory with it
      static_cast<void>(execution_.release());
    }
  }

  void* input(size_t index) override { return execution_->input(index); }
  void bind_input(size_t index, const void* data, vexkd_memory memory) override {
    const CurrentDevice current(device_);
    execution_->bind_input(index, data, memory);
  }
  void run() override {
    const CurrentDevice current(device_);
    execution_->run();
  }
  const void* output(size_t index) const override { return execution_->output(index); }
  vexkd_backend kind() const override { return VEXKD_BACKEND_TENSORRT; }
  const std::string& name() const override { return name_; }

 private:
  int device_;
  std::string name_;
  std::unique_ptr<TensorrtExecution> execution_;
};

}  // namespace

std::unique_ptr<Backend> open_tensorrt(const Bundle& bundle, const vexkd_perception_options& options) {
  const Choice choice = choose(bundle, options);
  const CurrentDevice current(choice.gpu.device);
  load_tensorrt_plugins(choice.library, bundle);
  const bool graph = options.cuda_graph != 0;
  auto execution = std::make_unique<TensorrtExecution>(choice.library, bundle, choice.engine, choice.gpu, graph);
  return std::make_unique<TensorrtBackend>(choice, std::move(execution), graph);
}

bool tensorrt_can_run(const Bundle& bundle, const vexkd_perception_options& options, std::string& reason) {
  try {
    choose(bundle, options);
    return true;
  } catch (const Failure& failure) {
    reason = failure.message;
  } catch (const std::exception& error) {
    reason = error.what();
  }
  return false;
}

}  // namespace vexkd::runtime
