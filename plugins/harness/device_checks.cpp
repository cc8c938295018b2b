// Whole calls on a GPU: results, repetition, concurrent streams, graph capture. Skipped where there is none.
#include "cases.hpp"

#ifdef VEXKD_WITH_CUDA
#include <cuda_runtime.h>
#endif

namespace harness {

#ifdef VEXKD_WITH_CUDA
namespace {

constexpr int kGarbage = 0xCD;  // what no kernel has written stays visible

void check(cudaError_t error) {
  if (error != cudaSuccess) throw Failure(cudaGetErrorString(error));
}

void require_device() {
  int devices = 0;
  cudaError_t const error = cudaGetDeviceCount(&devices);
  if (error != cudaSuccess || devices == 0) throw Skipped("no CUDA device");
}

class Memory {
 public:
  explicit Memory(size_t size) : size_(size) { check(cudaMalloc(&data_, size > 0 ? size : 1)); }
  ~Memory() { cudaFree(data_); }
  Memory(Memory&& other) noexcept : data_(other.data_), size_(other.size_) { other.data_ = nullptr; }
  Memory(Memory const&) = delete;
  void* get() const { return data_; }
  size_t size() const { return size_; }

 private:
  void* data_ = nullptr;
  size_t size_;
};

class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(Stream const&) = delete;
  cudaStream_t get() const { return stream_; }
  void wait() const { check(cudaStreamSynchronize(stream_)); }

 private:
  cudaStream_t stream_ = nullptr;
};

// One execution context: an attached plugin with device memory of its own.
class Context {
 public:
  Context(Libraries const& libraries, Case const& data)
      : data_(data),
        plugin_(create(libraries.plugins, data.plugin, default_fields(data.plugin, data.expected[0].type))
                    .runtime->attachToContext(nullptr)) {
    std::vector<DynamicPluginTensorDesc> in, out;
    for (Tensor const& tensor : data.inputs) {
      in.push_back(describe_dynamic(tensor.dims, tensor.type));
      inputs_.push_back(tensor.desc());
      memory_.emplace_back(tensor.bytes.size());
      check(cudaMemcpy(memory_.back().get(), tensor.bytes.data(), tensor.bytes.size(), cudaMemcpyHostToDevice));
      input_pointers_.push_back(memory_.back().get());
    }
    for (Tensor const& tensor : data.expected) {
      out.push_back(describe_dynamic(tensor.dims, tensor.type, tensor.format));
      outputs_.push_back(tensor.desc());
      memory_.emplace_back(tensor.bytes.size());
      output_pointers_.push_back(memory_.back().get());
    }
    auto const input_count = static_cast<int32_t>(in.size()), output_count = static_cast<int32_t>(out.size());
    memory_.emplace_back(plugin_.build->getWorkspaceSize(in.data(), input_count, out.data(), output_count));
    require(plugin_.runtime->onShapeChange(inputs_.data(), input_count, outputs_.data(), output_count) == 0,
            data.name + ": onShapeChange refuses");
  }

  // Spoil outputs and workspace, so that a call can rely on nothing of the last one.
  void spoil(cudaStream_t stream) const {
    for (size_t i = inputs_.size(); i < memory_.size(); ++i) {
      check(cudaMemsetAsync(memory_[i].get(), kGarbage, memory_[i].size(), stream));
    }
  }

  void enqueue(cudaStream_t stream) const {
    require(plugin_.runtime->enqueue(inputs_.data(), outputs_.data(), input_pointers_.data(), output_pointers_.data(),
                                     memory_.back().get(), stream) == 0,
            data_.name + ": enqueue fails");
  }

  std::vector<std::vector<uint8_t>> results() const {
    std::vector<std::vector<uint8_t>> results;
    for (size_t i = 0; i < outputs_.size(); ++i) {
      results.emplace_back(data_.expected[i].bytes.size());
      check(cudaMemcpy(results.back().data(), output_pointers_[i], results.back().size(), cudaMemcpyDeviceToHost));
    }
    return results;
  }

  Case const& data() const { return data_; }

 private:
  Case const& data_;
  Plugin plugin_;
  std::vector<PluginTensorDesc> inputs_, outputs_;
  std::vector<Memory> memory_;  // inputs, outputs, workspace
  std::vector<void const*> input_pointers_;
  std::vector<void*> output_pointers_;
};

void results_match_cpu(Libraries const& libraries) {
  require_device();
  std::vector<Case> const cases = make_cases(libraries);
  Stream const stream;
  for (Case const& data : cases) {
    Context const context(libraries, data);
    context.spoil(stream.get());
    context.enqueue(stream.get());
    stream.wait();
    compare(data, context.results());
  }
}

void same_bits_every_time(Libraries const& libraries) {
  require_device();
  std::vector<Case> const cases = make_cases(libraries);
  Stream const stream;
  for (Case const& data : cases) {
    Context const context(libraries, data);
    std::vector<std::vector<uint8_t>> first;
    for (int run = 0; run < 100; ++run) {
      context.spoil(stream.get());
      context.enqueue(stream.get());
      stream.wait();
      if (run == 0) first = context.results();
      require(context.results() == first, data.name + ": other bits in run " + std::to_string(run));
    }
  }
}

// Two contexts of one plugin at the same time share nothing.
void two_streams(Libraries const& libraries) {
  require_device();
  std::vector<Case> const cases = make_cases(libraries);
  Stream const streams[2];
  for (Case const& data : cases) {
    Context const contexts[2] = {{libraries, data}, {libraries, data}};
    for (int run = 0; run < 20; ++run) {
      for (int i = 0; i < 2; ++i) {
        contexts[i].spoil(streams[i].get());
        contexts[i].enqueue(streams[i].get());
      }
    }
    for (int i = 0; i < 2; ++i) {
      streams[i].wait();
      compare(data, contexts[i].results());
    }
  }
}

// Any allocation, synchronisation or use of another stream inside enqueue would end the capture with an error.
void graph_capture(Libraries const& libraries) {
  require_device();
  std::vector<Case> const cases = make_cases(libraries);
  Stream const stream;
  for (Case const& data : cases) {
    Context const context(libraries, data);
    context.enqueue(stream.get());  // kernels are loaded on their first launch
    stream.wait();
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    check(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeGlobal));
    context.enqueue(stream.get());
    check(cudaStreamEndCapture(stream.get(), &graph));
    check(cudaGraphInstantiate(&executable, graph, 0));
    for (int run = 0; run < 3; ++run) {
      context.spoil(stream.get());
      check(cudaGraphLaunch(executable, stream.get()));
    }
    stream.wait();
    check(cudaGraphExecDestroy(executable));
    check(cudaGraphDestroy(graph));
    compare(data, context.results());
  }
}

}  // namespace

std::vector<Check> device_checks() {
  return {{"device_results_match_cpu", results_match_cpu},
          {"device_same_bits_every_time", same_bits_every_time},
          {"device_two_streams", two_streams},
          {"device_graph_capture", graph_capture}};
}

#else

std::vector<Check> device_checks() {
  return {{"device", [](Libraries const&) { throw Skipped("the harness was built without the CUDA runtime"); }}};
}

#endif

}  // namespace harness
