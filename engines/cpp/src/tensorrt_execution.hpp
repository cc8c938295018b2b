// A deserialised engine with its buffers, reserved once: page-locked on the host, and on the device.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bundle.hpp"
#include "tensorrt_cuda.hpp"
#include "tensorrt_library.hpp"
#include "vexkd/perception.h"

namespace vexkd::runtime {

// Made, used and destroyed while its device is the current one.
class TensorrtExecution {
 public:
  TensorrtExecution(const TensorrtLibrary& library, const Bundle& bundle, const EngineSection& engine, const Gpu& gpu,
                    bool cuda_graph);
  ~TensorrtExecution();
  TensorrtExecution(const TensorrtExecution&) = delete;
  TensorrtExecution& operator=(const TensorrtExecution&) = delete;

  void* input(size_t index) { return inputs_[index].host.get(); }
  void bind_input(size_t index, const void* data, vexkd_memory memory);
  void run();
  const void* output(size_t index) const { return outputs_[index].host.get(); }

 private:
  struct Buffer {
    Tensor tensor;
    PinnedMemory host;
    DeviceMemory device;
    const void* source;  // of an input: what is copied to the device, null if TensorRT reads the caller's memory
    cudaMemcpyKind copy;
    const void* address;  // what TensorRT reads or writes
  };

  void load(const TensorrtLibrary& library, const Bundle& bundle, const EngineSection& engine);
  void check_tensors(const Bundle& bundle, const EngineSection& engine) const;
  Buffer reserve(const Tensor& tensor);
  void set_address(Buffer& buffer, const void* address);
  void enqueue_all();
  void enqueue_engine();
  void enqueue_plainly();
  void capture();

  int device_;
  bool cuda_graph_;
  std::string name_;
  std::unique_ptr<nvinfer1::IRuntime> runtime_;
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
  Stream stream_;
  std::vector<Buffer> inputs_, outputs_;
  std::unique_ptr<nvinfer1::IExecutionContext> context_;
  // TensorRT's work for the addresses as they are; captured on the second run with them, as the first may still set
  // things up, and so an input that wanders is not captured again and again.
  Graph graph_;
  bool ran_ = false;
};

}  // namespace vexkd::runtime
