// A TensorRT of its own, against the official headers: its engines are texts, one tensor a line ("input points float32
// 2 5", "output scores float32 4"), and an output's element i is the sum over the inputs, j from 1 on, of j times their
// element i (from the start again where they have fewer). A line "refuse", "fail" or "fail_capture" does as it says.
// stubs.hpp, which the test makes from the headers, ends the process in every function that is not here.
#include <NvInfer.h>
#include <dlfcn.h>

#include <cstring>
#include <memory>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "stubs.hpp"

using namespace nvinfer1;

namespace {

int enqueues = 0;
int alive = 0;

struct Counted {
  Counted() { ++alive; }
  Counted(const Counted&) = delete;
  ~Counted() { --alive; }
};

struct Entry {
  TensorIOMode mode;
  std::string name;
  DataType type;
  Dims dims;

  size_t elements() const {
    return static_cast<size_t>(std::accumulate(dims.d, dims.d + dims.nbDims, int64_t{1}, std::multiplies<int64_t>()));
  }
};

struct Plan {
  std::vector<Entry> entries;
  bool refuse = false, fail = false, fail_capture = false;

  const Entry* find(const char* name) const {
    for (const Entry& entry : entries) {
      if (entry.name == name) return &entry;
    }
    return nullptr;
  }
};

Plan read(const std::string& text) {
  Plan plan;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string role, type;
    Entry entry{};
    words >> role >> entry.name >> type;
    plan.refuse |= role == "refuse";
    plan.fail |= role == "fail";
    plan.fail_capture |= role == "fail_capture";
    if (role != "input" && role != "output") continue;
    entry.mode = role == "input" ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
    // uint8 as the exporter declares it to TensorRT, UINT8 as TensorRT's own.
    entry.type = type == "uint8"   ? DataType::kINT8
                 : type == "UINT8" ? DataType::kUINT8
                 : type == "int32" ? DataType::kINT32
                                   : DataType::kFLOAT;
    for (int64_t extent; words >> extent;) entry.dims.d[entry.dims.nbDims++] = extent;
    plan.entries.push_back(entry);
  }
  return plan;
}

struct Bound {
  Entry entry;
  void* address;
};

double value(const Bound& bound, size_t i) {
  i %= bound.entry.elements();
  if (bound.entry.type == DataType::kINT8) return static_cast<uint8_t*>(bound.address)[i];  // as PrepareImages reads it
  if (bound.entry.type == DataType::kINT32) return static_cast<int32_t*>(bound.address)[i];
  return static_cast<float*>(bound.address)[i];
}

void compute(void* given) {
  const auto& tensors = *static_cast<std::vector<Bound>*>(given);
  for (const Bound& output : tensors) {
    if (output.entry.mode != TensorIOMode::kOUTPUT) continue;
    for (size_t i = 0; i < output.entry.elements(); ++i) {
      double sum = 0;
      int weight = 0;
      for (const Bound& input : tensors) {
        if (input.entry.mode == TensorIOMode::kINPUT) sum += ++weight * value(input, i);
      }
      if (output.entry.type == DataType::kINT32) static_cast<int32_t*>(output.address)[i] = static_cast<int32_t>(sum);
      if (output.entry.type == DataType::kFLOAT) static_cast<float*>(output.address)[i] = static_cast<float>(sum);
    }
  }
}

class Context final : public IExecutionContext, Counted {
 public:
  Context(const Plan& plan, ILogger& logger) : own_(*this, plan, logger) { mImpl = &own_; }

 private:
  struct Own final : apiv::VExecutionContextStub {
    Own(Context& face_, const Plan& plan_, ILogger& logger_) : face(face_), plan(plan_), logger(logger_) {}
    IExecutionContext* getPImpl() noexcept override { return &face; }
    bool setTensorAddress(const char* name, void* data) noexcept override {
      const Entry* const entry = plan.find(name);
      if (entry == nullptr) return false;
      for (Bound& known : bound) {
        if (known.entry.name == name) {
          known.address = data;
          return true;
        }
      }
      bound.push_back({*entry, data});
      return true;
    }
    bool enqueueV3(cudaStream_t stream) noexcept override {
      ++enqueues;
      cudaStreamCaptureStatus status{};
      cudaStreamIsCapturing(stream, &status);
      if (plan.fail || (plan.fail_capture && status == cudaStreamCaptureStatusActive)) {
        logger.log(ILogger::Severity::kERROR, "the fake engine\nfailed");
        logger.log(ILogger::Severity::kWARNING, "a warning");
        return false;
      }
      std::vector<Bound> sorted;  // as the engine lists them
      for (const Entry& entry : plan.entries) {
        for (const Bound& one : bound) {
          cudaPointerAttributes attributes{};
          cudaPointerGetAttributes(&attributes, one.address);
          if (attributes.type != cudaMemoryTypeDevice) return false;
          if (one.entry.name == entry.name) sorted.push_back(one);
        }
      }
      if (sorted.size() != plan.entries.size()) return false;
      kept.push_back(std::make_unique<std::vector<Bound>>(sorted));
      return cudaLaunchHostFunc(stream, compute, kept.back().get()) == cudaSuccess;
    }
    Context& face;
    Plan plan;
    ILogger& logger;
    std::vector<Bound> bound;
    std::vector<std::unique_ptr<std::vector<Bound>>> kept;
  };
  Own own_;
};

class Engine final : public ICudaEngine, Counted {
 public:
  Engine(const Plan& plan, ILogger& logger) : own_(*this, plan, logger) { mImpl = &own_; }

 private:
  struct Own final : apiv::VCudaEngineStub {
    Own(Engine& face_, const Plan& plan_, ILogger& logger_) : face(face_), plan(plan_), logger(logger_) {}
    ICudaEngine* getPImpl() noexcept override { return &face; }
    IExecutionContext* createExecutionContext(ExecutionContextAllocationStrategy) noexcept override {
      return new Context(plan, logger);
    }
    int32_t getNbIOTensors() const noexcept override { return static_cast<int32_t>(plan.entries.size()); }
    TensorIOMode getTensorIOMode(const char* name) const noexcept override {
      return plan.find(name) == nullptr ? TensorIOMode::kNONE : plan.find(name)->mode;
    }
    Dims getTensorShape(const char* name) const noexcept override { return plan.find(name)->dims; }
    DataType getTensorDataType(const char* name) const noexcept override { return plan.find(name)->type; }
    TensorFormat getTensorFormat(const char*) const noexcept override { return TensorFormat::kLINEAR; }
    const char* getTensorFormatDesc(const char*) const noexcept override { return "rows"; }
    TensorLocation getTensorLocation(const char*) const noexcept override { return TensorLocation::kDEVICE; }
    Engine& face;
    Plan plan;
    ILogger& logger;
  };
  Own own_;
};

class Runtime final : public IRuntime, Counted {
 public:
  explicit Runtime(ILogger& logger) : own_(*this, logger) { mImpl = &own_; }

 private:
  struct Own final : apiv::VRuntimeStub {
    Own(Runtime& face_, ILogger& logger_) : face(face_), logger(logger_) {}
    IRuntime* getPImpl() noexcept override { return &face; }
    ICudaEngine* deserializeCudaEngine(const void* blob, size_t size) noexcept override {
      const Plan plan = read(std::string(static_cast<const char*>(blob), size));
      if (!plan.refuse) return new Engine(plan, logger);
      logger.log(ILogger::Severity::kERROR, "an engine of another planet");
      logger.log(ILogger::Severity::kINTERNAL_ERROR, "and broken");
      return nullptr;
    }
    Runtime& face;
    ILogger& logger;
  };
  Own own_;
};

class Registry final : public PluginRegistryStub {
 public:
  void* loadLibrary(const char* path) noexcept override {
    void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return nullptr;
    using Creators = IPluginCreatorInterface* const* (*)(int32_t&);
    const auto creators = reinterpret_cast<Creators>(dlsym(library, "getCreators"));
    if (creators == nullptr || !creators_.empty()) return nullptr;
    int32_t count = 0;
    auto* const* const list = creators(count);
    creators_.assign(list, list + count);
    return library;
  }
  IPluginCreatorInterface* getCreator(const char* name, const char* version, const char* space) noexcept override {
    for (IPluginCreatorInterface* creator : creators_) {
      auto* const one = static_cast<IPluginCreatorV3One*>(creator);
      if (std::strcmp(one->getPluginName(), name) == 0 && std::strcmp(one->getPluginVersion(), version) == 0 &&
          std::strcmp(one->getPluginNamespace(), space) == 0) {
        return creator;
      }
    }
    return nullptr;
  }

 private:
  std::vector<IPluginCreatorInterface*> creators_;
};

}  // namespace

extern "C" {

int fake_nvinfer_enqueues() { return enqueues; }
int fake_nvinfer_alive() { return alive; }

int32_t getInferLibVersion() noexcept { return NV_TENSORRT_MAJOR * 10000 + NV_TENSORRT_MINOR * 100 + 4; }
int32_t getInferLibBuildVersion() noexcept { return 56; }
void* createInferRuntime_INTERNAL(void* logger, int32_t) noexcept {
  return static_cast<IRuntime*>(new Runtime(*static_cast<ILogger*>(logger)));
}
IPluginRegistry* getPluginRegistry() noexcept {
  static Registry registry;
  return &registry;
}

}  // extern "C"
