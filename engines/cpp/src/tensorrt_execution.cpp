#include "tensorrt_execution.hpp"

#include <algorithm>
#include <utility>

#include "failure.hpp"
#include "text.hpp"

namespace vexkd::runtime {
namespace {

constexpr uintptr_t kAlignment = 256;  // cudaMalloc's, which TensorRT asks of every address

// As the exporter declares it: TensorRT gives plugins no UINT8, so PrepareImages takes the images' bytes as INT8.
nvinfer1::DataType data_type(ElementType type) {
  switch (type) {
    case ElementType::uint8:
      return nvinfer1::DataType::kINT8;
    case ElementType::int32:
      return nvinfer1::DataType::kINT32;
    default:
      return nvinfer1::DataType::kFLOAT;
  }
}

const char* type_name(nvinfer1::DataType type) {
  switch (type) {
    case nvinfer1::DataType::kINT8:
      return "uint8";
    case nvinfer1::DataType::kUINT8:
      return "TensorRT's own uint8";
    case nvinfer1::DataType::kINT32:
      return "int32";
    case nvinfer1::DataType::kFLOAT:
      return "float32";
    case nvinfer1::DataType::kHALF:
      return "float16";
    default:
      return "another type";
  }
}

// "float32 [3, 5]"
std::string described(nvinfer1::DataType type, const int64_t* shape, size_t rank) {
  std::string line = text(type_name(type), " [");
  for (size_t i = 0; i < rank; ++i) line += text(i == 0 ? "" : ", ", shape[i]);
  return line + "]";
}

std::string described(const Tensor& tensor) {
  return described(data_type(tensor.type), tensor.shape.data(), tensor.shape.size());
}

// Waits for the stream when a run ends, however it ends: copies may still be reading the caller's memory.
class Settled {
 public:
  explicit Settled(cudaStream_t stream) : stream_(stream) {}
  ~Settled() {
    if (stream_ != nullptr) cudaStreamSynchronize(stream_);
  }
  Settled(const Settled&) = delete;
  Settled& operator=(const Settled&) = delete;

  void wait() { check_cuda(cudaStreamSynchronize(std::exchange(stream_, nullptr)), "finish the run"); }

 private:
  cudaStream_t stream_;
};

}  // namespace

TensorrtExecution::TensorrtExecution(const TensorrtLibrary& library, const Bundle& bundle, const EngineSection& engine,
                                     const Gpu& gpu, bool cuda_graph)
    : device_(gpu.device), cuda_graph_(cuda_graph), name_(text(library.name, ", ", bundle.path, '/', engine.file)) {
  load(library, bundle, engine);
  check_tensors(bundle, engine);
  stream_ = make_stream();
  for (const Tensor& tensor : bundle.manifest.inputs) inputs_.push_back(reserve(tensor));
  for (const Tensor& tensor : bundle.manifest.outputs) outputs_.push_back(reserve(tensor));
}

TensorrtExecution::~TensorrtExecution() { cudaStreamSynchronize(stream_.get()); }

void TensorrtExecution::load(const TensorrtLibrary& library, const Bundle& bundle, const EngineSection& engine) {
  TensorrtMessages& messages = TensorrtMessages::instance();
  messages.clear();
  const std::vector<char>& bytes = bundle.files.at(engine.file);
  runtime_.reset(static_cast<nvinfer1::IRuntime*>(library.create_runtime(&messages, NV_TENSORRT_VERSION)));
  if (runtime_) engine_.reset(runtime_->deserializeCudaEngine(bytes.data(), bytes.size()));
  if (engine_) context_.reset(engine_->createExecutionContext());
  if (!context_) {
    fail(VEXKD_BACKEND_FAILED, text(library.name, " refuses ", bundle.path, '/', engine.file, ": ", messages.heard()));
  }
}

void TensorrtExecution::check_tensors(const Bundle& bundle, const EngineSection& engine) const {
  const auto expect = [&](bool holds, const std::string& found, const std::string& expected) {
    if (holds) return;
    fail(VEXKD_INCOMPATIBLE, text(bundle.path, '/', engine.file, " has ", found, ", the manifest says ", expected,
                                  "; export it again with: ", remake(bundle.manifest)));
  };
  const auto check = [&](const Tensor& tensor, nvinfer1::TensorIOMode mode, const char* role) {
    const char* const name = tensor.name.c_str();
    const std::string expected = text(role, ' ', name, ' ', described(tensor));
    expect(engine_->getTensorIOMode(name) == mode, text("no ", role, ' ', name), expected);
    const nvinfer1::Dims dims = engine_->getTensorShape(name);
    const nvinfer1::DataType type = engine_->getTensorDataType(name);
    const auto rank = static_cast<size_t>(std::max(dims.nbDims, 0));
    const bool same =
        type == data_type(tensor.type) && std::equal(tensor.shape.begin(), tensor.shape.end(), dims.d, dims.d + rank);
    expect(same, text(role, ' ', name, ' ', described(type, dims.d, rank)), expected);
    const bool plain = engine_->getTensorFormat(name) == nvinfer1::TensorFormat::kLINEAR &&
                       engine_->getTensorLocation(name) == nvinfer1::TensorLocation::kDEVICE;
    expect(plain, text(role, ' ', name, " in ", engine_->getTensorFormatDesc(name)), "rows in the GPU's memory");
  };
  const Manifest& manifest = bundle.manifest;
  const size_t count = manifest.inputs.size() + manifest.outputs.size();
  const auto found = static_cast<size_t>(engine_->getNbIOTensors());
  for (const Tensor& tensor : manifest.inputs) check(tensor, nvinfer1::TensorIOMode::kINPUT, "input");
  for (const Tensor& tensor : manifest.outputs) check(tensor, nvinfer1::TensorIOMode::kOUTPUT, "output");
  expect(found == count, text(found, " inputs and outputs"), text(count));
}

TensorrtExecution::Buffer TensorrtExecution::reserve(const Tensor& tensor) {
  const char* const name = tensor.name.c_str();
  Buffer buffer{tensor,
                reserve_pinned_memory(tensor.bytes(), name),
                reserve_device_memory(tensor.bytes(), name),
                nullptr,
                cudaMemcpyHostToDevice,
                nullptr};
  buffer.source = buffer.host.get();
  set_address(buffer, buffer.device.get());
  return buffer;
}

void TensorrtExecution::set_address(Buffer& buffer, const void* address) {
  if (buffer.address == address) return;
  // TensorRT reads inputs only; its function for them takes no outputs.
  if (!context_->setTensorAddress(buffer.tensor.name.c_str(), const_cast<void*>(address))) {
    fail(VEXKD_BACKEND_FAILED,
         text(name_, " takes no memory for ", buffer.tensor.name, ": ", TensorrtMessages::instance().heard()));
  }
  buffer.address = address;
  graph_.reset();
  ran_ = false;
}

void TensorrtExecution::bind_input(size_t index, const void* data, vexkd_memory memory) {
  Buffer& buffer = inputs_[index];
  if (data != nullptr && memory == VEXKD_DEVICE) {
    if (!is_device_memory(data, device_)) {
      fail(VEXKD_BAD_FRAME, text("input ", buffer.tensor.name, " was given as device memory, but its address is none ",
                                 "of CUDA device ", device_, "; allocate it there, or say VEXKD_HOST"));
    }
    const bool aligned = reinterpret_cast<uintptr_t>(data) % kAlignment == 0;
    set_address(buffer, aligned ? data : buffer.device.get());
    buffer.source = aligned ? nullptr : data;
    buffer.copy = cudaMemcpyDeviceToDevice;
    return;
  }
  set_address(buffer, buffer.device.get());
  buffer.source = data == nullptr ? buffer.host.get() : data;
  buffer.copy = cudaMemcpyHostToDevice;
}

void TensorrtExecution::run() {
  TensorrtMessages::instance().clear();
  Settled settled(stream_.get());
  enqueue_all();
  settled.wait();
}

void TensorrtExecution::enqueue_all() {
  for (const Buffer& buffer : inputs_) {
    if (buffer.source == nullptr) continue;
    check_cuda(cudaMemcpyAsync(buffer.device.get(), buffer.source, buffer.tensor.bytes(), buffer.copy, stream_.get()),
               "copy input ", buffer.tensor.name.c_str());
  }
  enqueue_engine();
  for (const Buffer& buffer : outputs_) {
    check_cuda(cudaMemcpyAsync(buffer.host.get(), buffer.device.get(), buffer.tensor.bytes(), cudaMemcpyDeviceToHost,
                               stream_.get()),
               "copy output ", buffer.tensor.name.c_str());
  }
}

void TensorrtExecution::enqueue_engine() {
  if (!cuda_graph_ || !ran_) {
    enqueue_plainly();
    ran_ = true;
    return;
  }
  if (!graph_) capture();
  check_cuda(cudaGraphLaunch(graph_.get(), stream_.get()), "launch the engine's graph");
}

void TensorrtExecution::enqueue_plainly() {
  if (context_->enqueueV3(stream_.get())) return;
  fail(VEXKD_BACKEND_FAILED, text(name_, " could not run: ", TensorrtMessages::instance().heard()));
}

void TensorrtExecution::capture() {
  cudaStream_t const stream = stream_.get();
  check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "begin to capture a graph");
  const bool enqueued = context_->enqueueV3(stream);
  cudaGraph_t graph = nullptr;
  cudaError_t status = cudaStreamEndCapture(stream, &graph);
  cudaGraphExec_t executable = nullptr;
  if (enqueued && status == cudaSuccess) status = cudaGraphInstantiate(&executable, graph, 0);
  if (graph != nullptr) cudaGraphDestroy(graph);
  if (!enqueued || status != cudaSuccess) {
    fail(VEXKD_BACKEND_FAILED, text(name_, " cannot be captured in a CUDA graph: ",
                                    status == cudaSuccess ? TensorrtMessages::instance().heard() : cuda_reason(status),
                                    "; open the bundle with the option cuda_graph 0"));
  }
  graph_.reset(executable);
}

}  // namespace vexkd::runtime
