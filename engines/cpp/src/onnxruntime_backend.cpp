// ONNX Runtime as a backend: its CPU provider or its CUDA provider, with our operators registered.
#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "aligned.hpp"
#include "backend.hpp"
#include "failure.hpp"
#include "onnxruntime_library.hpp"
#include "registration.hpp"
#include "text.hpp"

namespace vexkd::runtime {
namespace {

// An object of ONNX Runtime with the function that releases it.
template <class Object>
class Owned {
 public:
  Owned(const OnnxRuntime& runtime, ort::Release<Object> release) : runtime_(&runtime), release_(release) {}
  ~Owned() {
    if (object_ != nullptr) runtime_->api->call(release_, object_);
  }
  Owned(Owned&& other) noexcept
      : runtime_(other.runtime_), release_(other.release_), object_(std::exchange(other.object_, nullptr)) {}
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  Owned& operator=(Owned&&) = delete;

  Object** operator&() { return &object_; }
  Object* get() const { return object_; }

 private:
  const OnnxRuntime* runtime_;
  ort::Release<Object> release_;
  Object* object_ = nullptr;
};

ort::ElementType element_type(ElementType type) {
  switch (type) {
    case ElementType::uint8:
      return ort::ElementType::kUint8;
    case ElementType::int32:
      return ort::ElementType::kInt32;
    default:
      return ort::ElementType::kFloat;
  }
}

// Caller's memory that an input was read from lately. Cameras write into a few buffers in turn, so that after some
// frames nothing is made anew.
struct Bound {
  const void* data;
  vexkd_memory memory;
  Owned<ort::Value> value;
};
constexpr size_t kMostBound = 8;

struct Input {
  Memory memory;
  Owned<ort::Value> own;
  std::vector<Bound> callers;
};

class OnnxRuntimeBackend final : public Backend {
 public:
  OnnxRuntimeBackend(const OnnxRuntime& runtime, const Bundle& bundle, const vexkd_perception_options& options,
                     bool cuda);

  void* input(size_t index) override { return inputs_[index].memory.get(); }
  void bind_input(size_t index, const void* data, vexkd_memory memory) override;
  void run() override;
  const void* output(size_t index) const override { return outputs_[index].get(); }
  vexkd_backend kind() const override { return cuda_ ? VEXKD_BACKEND_ONNXRUNTIME_CUDA : VEXKD_BACKEND_ONNXRUNTIME_CPU; }
  const std::string& name() const override { return name_; }

 private:
  Owned<ort::SessionOptions> make_options(const vexkd_perception_options& options) const;
  void append_cuda(ort::SessionOptions* session_options, int32_t device) const;
  void register_operators(ort::SessionOptions* session_options) const;
  Owned<ort::Value> tensor(const Tensor& tensor, const void* data, const ort::MemoryInfo* where) const;
  void reserve_tensors();

  const OnnxRuntime& runtime_;
  const bool cuda_;
  const bool native_;  // our operators run natively, not as their function bodies
  std::string name_;
  std::vector<Tensor> input_tensors_, output_tensors_;
  Owned<ort::MemoryInfo> host_, device_;
  Owned<ort::Session> session_;
  std::vector<Input> inputs_;
  std::vector<Memory> outputs_;
  std::vector<Owned<ort::Value>> output_values_;
  std::vector<const char*> input_names_, output_names_;
  std::vector<const ort::Value*> fed_;
  std::vector<ort::Value*> filled_;
};

OnnxRuntimeBackend::OnnxRuntimeBackend(const OnnxRuntime& runtime, const Bundle& bundle,
                                       const vexkd_perception_options& options, bool cuda)
    : runtime_(runtime),
      cuda_(cuda),
      // The CPU's kernels between nodes on the GPU would cost copies, so there the bodies run instead.
      native_(!cuda || vexkd_has_cuda() != 0),
      name_(text("ONNX Runtime ", runtime.version, cuda ? " (CUDA), " : " (CPU), ",
                 native_ ? "native operators" : "operators as function bodies")),
      input_tensors_(bundle.manifest.inputs),
      output_tensors_(bundle.manifest.outputs),
      host_(runtime, ort::slot::ReleaseMemoryInfo),
      device_(runtime, ort::slot::ReleaseMemoryInfo),
      session_(runtime, ort::slot::ReleaseSession) {
  const ort::Api& api = *runtime_.api;
  runtime_.check(
      api.call(ort::slot::CreateCpuMemoryInfo, ort::AllocatorType::kDevice, ort::MemoryType::kDefault, &host_));
  if (cuda_) {
    runtime_.check(api.call(ort::slot::CreateMemoryInfo, ort::kCudaMemory, ort::AllocatorType::kDevice, options.device,
                            ort::MemoryType::kDefault, &device_));
  }
  const Owned<ort::SessionOptions> session_options = make_options(options);
  const std::vector<char>& model = bundle.files.at(kModel);
  runtime_.check(api.call(ort::slot::CreateSessionFromArray, runtime_.env, model.data(), model.size(),
                          session_options.get(), &session_));
  reserve_tensors();
}

Owned<ort::SessionOptions> OnnxRuntimeBackend::make_options(const vexkd_perception_options& options) const {
  const ort::Api& api = *runtime_.api;
  Owned<ort::SessionOptions> made(runtime_, ort::slot::ReleaseSessionOptions);
  runtime_.check(api.call(ort::slot::CreateSessionOptions, &made));
  runtime_.check(api.call(ort::slot::SetIntraOpNumThreads, made.get(), options.threads));
  runtime_.check(
      api.call(ort::slot::SetSessionLogSeverityLevel, made.get(), static_cast<int>(ort::LoggingLevel::kError)));
  const std::string threads = std::to_string(options.threads);
  runtime_.check(api.call(ort::slot::AddSessionConfigEntry, made.get(), VEXKD_THREADS_ENTRY, threads.c_str()));
  if (native_) register_operators(made.get());
  if (cuda_) append_cuda(made.get(), options.device);
  return made;
}

void OnnxRuntimeBackend::register_operators(ort::SessionOptions* session_options) const {
  runtime_.check(RegisterCustomOps(session_options, runtime_.base));
}

void OnnxRuntimeBackend::append_cuda(ort::SessionOptions* session_options, int32_t device) const {
  const ort::Api& api = *runtime_.api;
  if (!runtime_.has_provider(ort::kCudaProvider)) {
    fail(VEXKD_NO_BACKEND, text(runtime_.path, " has no CUDA provider; take the library of onnxruntime-gpu"));
  }
  Owned<ort::CudaProviderOptions> provider(runtime_, ort::slot::ReleaseCUDAProviderOptions);
  runtime_.check(api.call(ort::slot::CreateCUDAProviderOptions, &provider), VEXKD_NO_BACKEND);
  const std::string number = std::to_string(device);
  const char* const keys[] = {"device_id"};
  const char* const values[] = {number.c_str()};
  runtime_.check(api.call(ort::slot::UpdateCUDAProviderOptions, provider.get(), keys, values, 1));
  runtime_.check(api.call(ort::slot::SessionOptionsAppendExecutionProvider_CUDA_V2, session_options, provider.get()),
                 VEXKD_NO_BACKEND);
}

Owned<ort::Value> OnnxRuntimeBackend::tensor(const Tensor& tensor, const void* data,
                                             const ort::MemoryInfo* where) const {
  Owned<ort::Value> value(runtime_, ort::slot::ReleaseValue);
  runtime_.check(runtime_.api->call(ort::slot::CreateTensorWithDataAsOrtValue, where, const_cast<void*>(data),
                                    tensor.bytes(), tensor.shape.data(), tensor.shape.size(), element_type(tensor.type),
                                    &value));
  return value;
}

void OnnxRuntimeBackend::reserve_tensors() {
  for (const Tensor& described : input_tensors_) {
    Memory memory = reserve(described.bytes());
    Owned<ort::Value> own = tensor(described, memory.get(), host_.get());
    fed_.push_back(own.get());
    inputs_.push_back({std::move(memory), std::move(own), {}});
    inputs_.back().callers.reserve(kMostBound);
    input_names_.push_back(described.name.c_str());
  }
  for (const Tensor& described : output_tensors_) {
    outputs_.push_back(reserve(described.bytes()));
    output_values_.push_back(tensor(described, outputs_.back().get(), host_.get()));
    filled_.push_back(output_values_.back().get());
    output_names_.push_back(described.name.c_str());
  }
}

void OnnxRuntimeBackend::bind_input(size_t index, const void* data, vexkd_memory memory) {
  Input& input = inputs_[index];
  if (data == nullptr) {
    fed_[index] = input.own.get();
    return;
  }
  if (memory != VEXKD_HOST && !(memory == VEXKD_DEVICE && cuda_)) {
    fail(VEXKD_BAD_FRAME,
         text(input_names_[index], " lies in ", memory == VEXKD_DEVICE ? "device" : "unknown", " memory, ", name_,
              " reads host memory; copy it, or open the bundle with a backend on ", "the GPU"));
  }
  for (const Bound& bound : input.callers) {
    if (bound.data == data && bound.memory == memory) {
      fed_[index] = bound.value.get();
      return;
    }
  }
  Owned<ort::Value> value = tensor(input_tensors_[index], data, memory == VEXKD_DEVICE ? device_.get() : host_.get());
  // A caller with ever new buffers: the eldest are forgotten together.
  if (input.callers.size() == kMostBound) input.callers.clear();
  input.callers.push_back({data, memory, std::move(value)});
  fed_[index] = input.callers.back().value.get();
}

void OnnxRuntimeBackend::run() {
  runtime_.check(runtime_.api->call(ort::slot::Run, session_.get(), nullptr, input_names_.data(), fed_.data(),
                                    fed_.size(), output_names_.data(), filled_.size(), filled_.data()));
}

}  // namespace

std::unique_ptr<Backend> open_onnxruntime(const Bundle& bundle, const vexkd_perception_options& options, bool cuda) {
  const OnnxRuntime& runtime = load_onnxruntime(find_onnxruntime(options.onnxruntime));
  return std::make_unique<OnnxRuntimeBackend>(runtime, bundle, options, cuda);
}

}  // namespace vexkd::runtime
