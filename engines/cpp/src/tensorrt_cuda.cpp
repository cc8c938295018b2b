#include "tensorrt_cuda.hpp"

#include <cstring>

#include "failure.hpp"
#include "text.hpp"
#include "vexkd/perception.h"

namespace vexkd::runtime {

std::string cuda_reason(cudaError_t status) {
  cudaGetLastError();
  return text(cudaGetErrorName(status), " (", cudaGetErrorString(status), ")");
}

void check_cuda(cudaError_t status, const char* action, const char* object) {
  if (status == cudaSuccess) return;
  fail(VEXKD_BACKEND_FAILED, text("CUDA cannot ", action, object, ": ", cuda_reason(status)));
}

Gpu find_gpu(int device) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    fail(VEXKD_NO_BACKEND, text("TensorRT needs an NVIDIA GPU and its driver, none was found: ",
                                status == cudaSuccess ? "the driver lists no GPU" : cuda_reason(status),
                                "; use ONNX Runtime on the CPU"));
  }
  if (device >= count) {
    fail(VEXKD_NO_BACKEND, text("option device is ", device, ", this machine has ", count, " GPUs, from number 0 on"));
  }
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, device), "describe its device");
  return {device, properties.name, text(properties.major, '.', properties.minor)};
}

CurrentDevice::CurrentDevice(int device) {
  check_cuda(cudaGetDevice(&before_), "tell its current device");
  check_cuda(cudaSetDevice(device), "use the device of the option device");
}

CurrentDevice::~CurrentDevice() { cudaSetDevice(before_); }

DeviceMemory reserve_device_memory(size_t bytes, const char* tensor) {
  void* memory = nullptr;
  check_cuda(cudaMalloc(&memory, bytes), "reserve memory of the GPU for ", tensor);
  return DeviceMemory(memory);
}

PinnedMemory reserve_pinned_memory(size_t bytes, const char* tensor) {
  void* memory = nullptr;
  check_cuda(cudaHostAlloc(&memory, bytes, cudaHostAllocDefault), "reserve page-locked memory for ", tensor);
  std::memset(memory, 0, bytes);
  return PinnedMemory(memory);
}

Stream make_stream() {
  cudaStream_t stream = nullptr;
  check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "make a stream");
  return Stream(stream);
}

bool is_device_memory(const void* address, int device) {
  cudaPointerAttributes attributes{};
  if (cudaPointerGetAttributes(&attributes, address) != cudaSuccess) {
    cudaGetLastError();
    return false;
  }
  if (attributes.type == cudaMemoryTypeManaged) return true;
  return attributes.type == cudaMemoryTypeDevice && attributes.device == device;
}

}  // namespace vexkd::runtime
