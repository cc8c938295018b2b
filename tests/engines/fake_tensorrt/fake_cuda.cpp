// CUDA's runtime, as the TensorRT backend uses it, without a GPU: "device" memory is the host's, known by its address,
// and work is done when its stream is waited for, and no earlier, so that a missing wait, a copy the wrong way and a
// call for another device show. Fewer checks than a GPU has, and nothing about speed.
#include <cuda_runtime_api.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

using Work = std::function<void()>;

struct Block {
  size_t size;
  int device;  // -1: page-locked host memory
};

std::vector<std::string> capabilities;
std::map<const char*, Block> blocks;
std::string failing;  // the function whose next call fails
int alive = 0;        // streams and graphs
int device = 0;
cudaError_t last = cudaSuccess;

cudaError_t refuse(cudaError_t error) { return last = error; }

bool fails(const char* function) {
  if (failing != function) return false;
  failing.clear();
  return true;
}

// The block that holds all of a range, or null.
const Block* find(const void* address, size_t size) {
  const char* const start = static_cast<const char*>(address);
  auto after = blocks.upper_bound(start);
  if (after == blocks.begin()) return nullptr;
  --after;
  return start + size <= after->first + after->second.size ? &after->second : nullptr;
}

bool on_device(const void* address, size_t size) {
  const Block* const block = find(address, size);
  return block != nullptr && block->device == device;
}

bool on_host(const void* address, size_t size) {
  const Block* const block = find(address, size);
  return block == nullptr || block->device < 0;
}

void* reserve(size_t size, int where) {
  void* const memory = std::aligned_alloc(256, (size + 255) / 256 * 256);
  std::memset(memory, 0xCD, size);
  blocks[static_cast<const char*>(memory)] = {size, where};
  return memory;
}

cudaError_t give_back(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  if (blocks.erase(static_cast<const char*>(memory)) == 0) return refuse(cudaErrorInvalidValue);
  std::free(memory);
  return cudaSuccess;
}

}  // namespace

struct CUgraph_st {
  std::vector<Work> work;
};
struct CUgraphExec_st {
  std::vector<Work> work;
};
struct CUstream_st {
  int device;
  std::vector<Work> work;
  CUgraph_st* capturing;
};

static cudaError_t enqueue(cudaStream_t stream, Work work) {
  if (stream == nullptr || stream->device != device) return refuse(cudaErrorInvalidResourceHandle);
  (stream->capturing != nullptr ? stream->capturing->work : stream->work).push_back(std::move(work));
  return cudaSuccess;
}

extern "C" {

// Compute capabilities of the GPUs that are there, "8.9 8.6"; "" for none.
void fake_cuda_gpus(const char* list) {
  std::istringstream words(list);
  capabilities.clear();
  for (std::string word; words >> word;) capabilities.push_back(word);
}
void fake_cuda_fail(const char* function) { failing = function; }
int fake_cuda_alive() { return alive + static_cast<int>(blocks.size()); }
int fake_cuda_current() { return device; }
void* fake_cuda_malloc(size_t size, int where) { return reserve(size, where); }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = static_cast<int>(capabilities.size());
  return capabilities.empty() ? refuse(cudaErrorNoDevice) : cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int number) {
  std::memset(properties, 0, sizeof(*properties));
  std::strcpy(properties->name, "Fake GPU");
  std::sscanf(capabilities[static_cast<size_t>(number)].c_str(), "%d.%d", &properties->major, &properties->minor);
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* number) {
  *number = device;
  return fails("cudaGetDevice") ? refuse(cudaErrorCudartUnloading) : cudaSuccess;
}
cudaError_t cudaSetDevice(int number) {
  device = number;
  return cudaSuccess;
}
cudaError_t cudaGetLastError() {
  const cudaError_t error = last;
  last = cudaSuccess;
  return error;
}
const char* cudaGetErrorName(cudaError_t error) {
  return error == cudaErrorNoDevice ? "cudaErrorNoDevice" : error == cudaSuccess ? "cudaSuccess" : "cudaErrorOther";
}
const char* cudaGetErrorString(cudaError_t error) { return error == cudaErrorNoDevice ? "no device" : "as told"; }

cudaError_t cudaMalloc(void** memory, size_t size) {
  if (fails("cudaMalloc")) return refuse(cudaErrorMemoryAllocation);
  *memory = reserve(size, device);
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** memory, size_t size, unsigned) {
  *memory = reserve(size, -1);
  return cudaSuccess;
}
cudaError_t cudaFree(void* memory) { return give_back(memory); }
cudaError_t cudaFreeHost(void* memory) { return give_back(memory); }
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* address) {
  const Block* const block = find(address, 1);
  std::memset(attributes, 0, sizeof(*attributes));
  attributes->type = block == nullptr    ? cudaMemoryTypeUnregistered
                     : block->device < 0 ? cudaMemoryTypeHost
                                         : cudaMemoryTypeDevice;
  attributes->device = block == nullptr ? 0 : block->device;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  if (flags != cudaStreamNonBlocking) return refuse(cudaErrorInvalidValue);
  *stream = new CUstream_st{device, {}, nullptr};
  ++alive;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  --alive;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (stream->device != device || stream->capturing != nullptr) return refuse(cudaErrorInvalidResourceHandle);
  for (const Work& work : stream->work) work();
  stream->work.clear();
  return fails("cudaStreamSynchronize") ? refuse(cudaErrorLaunchFailure) : cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind kind, cudaStream_t stream) {
  const bool right = (kind == cudaMemcpyDeviceToHost ? on_host(to, size) : on_device(to, size)) &&
                     (kind == cudaMemcpyHostToDevice ? on_host(from, size) : on_device(from, size));
  if (!right || fails("cudaMemcpyAsync")) return refuse(cudaErrorInvalidValue);
  return enqueue(stream, [=] { std::memcpy(to, from, size); });
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  return enqueue(stream, [=] { function(data); });
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  *status = stream->capturing == nullptr ? cudaStreamCaptureStatusNone : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  stream->capturing = new CUgraph_st;
  ++alive;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = stream->capturing;
  stream->capturing = nullptr;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  if (fails("cudaGraphInstantiate")) return refuse(cudaErrorInvalidValue);
  *executable = new CUgraphExec_st{graph->work};
  ++alive;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  --alive;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  --alive;
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  for (const Work& work : executable->work) enqueue(stream, work);
  return cudaSuccess;
}

}  // extern "C"
