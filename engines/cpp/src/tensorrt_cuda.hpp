// CUDA's runtime, as the TensorRT backend uses it: what is reserved has an owner, what fails says why.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>
#include <string>

namespace vexkd::runtime {

// Fails with BACKEND_FAILED unless CUDA succeeded: "CUDA cannot ACTION OBJECT: ...".
void check_cuda(cudaError_t status, const char* action, const char* object = "");

// Name and text of an error, "cudaErrorNoDevice (no CUDA-capable device is detected)"; forgets it.
std::string cuda_reason(cudaError_t status);

struct Gpu {
  int device;
  std::string name;
  std::string compute_capability;  // "8.9"
};

// The GPU of that number. Fails with NO_BACKEND where there is none.
Gpu find_gpu(int device);

// Makes a device the calling thread's current one, and the one before it again when the scope ends.
class CurrentDevice {
 public:
  explicit CurrentDevice(int device);
  ~CurrentDevice();
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;

 private:
  int before_ = 0;
};

struct CudaFree {
  void operator()(void* memory) const { cudaFree(memory); }
  void operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }
  void operator()(cudaGraphExec_t graph) const { cudaGraphExecDestroy(graph); }
};
struct CudaFreeHost {
  void operator()(void* memory) const { cudaFreeHost(memory); }
};
using DeviceMemory = std::unique_ptr<void, CudaFree>;
using PinnedMemory = std::unique_ptr<void, CudaFreeHost>;
using Stream = std::unique_ptr<CUstream_st, CudaFree>;
using Graph = std::unique_ptr<CUgraphExec_st, CudaFree>;

// On the current device, for a tensor that messages name; host memory is page-locked and zeroed, streams do not wait
// for the default one.
DeviceMemory reserve_device_memory(size_t bytes, const char* tensor);
PinnedMemory reserve_pinned_memory(size_t bytes, const char* tensor);
Stream make_stream();

// Whether an address is memory of the device, or managed memory.
bool is_device_memory(const void* address, int device);

}  // namespace vexkd::runtime
