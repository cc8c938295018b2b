#include "call.hpp"

#include <memory>
#include <new>

#include "failure.hpp"
#include "memory.h"

namespace vexkd::ort {
namespace {

constexpr std::align_val_t kAlignment{VEXKD_CPU_ALIGNMENT};

struct Free {
  void operator()(void* memory) const noexcept { ::operator delete(memory, kAlignment); }
};

// Grows to the largest call of this thread and is given back when the thread ends.
void* thread_workspace(size_t size) {
  thread_local std::unique_ptr<void, Free> memory;
  thread_local size_t held = 0;
  if (size > held) {
    held = 0;
    memory.reset();  // before the new one is asked for: nothing in it is kept
    memory.reset(::operator new(size, kAlignment));
    prefer_huge_pages(memory.get(), size);
    held = size;
  }
  return memory.get();
}

const char* name_of(ElementType type) {
  switch (type) {
    case ElementType::kFloat:
      return "float32";
    case ElementType::kFloat16:
      return "float16";
    case ElementType::kInt32:
      return "int32";
    case ElementType::kUint8:
      return "uint8";
    default:
      return "another type";
  }
}

}  // namespace

bool Tensor::has_shape(std::initializer_list<int64_t> expected) const {
  if (rank != expected.size()) return false;
  const int64_t* given = shape;
  for (const int64_t size : expected) {
    if (*given < 0 || *given > INT32_MAX || (size != kAny && size != *given)) return false;
    ++given;
  }
  return true;
}

std::string Tensor::describe() const {
  std::string text = std::string(name_of(type)) + " (";
  for (size_t axis = 0; axis < rank; ++axis) text += (axis == 0 ? "" : ", ") + std::to_string(shape[axis]);
  return text + ")";
}

Call::Call(const Api& api, KernelContext* context, Allocator* allocator, int32_t threads)
    : api_(api),
      context_(context),
      allocator_(allocator),
      executor_{sizeof(vexkd_executor), threads, run_tasks, this},
      scope_(executor_) {}

Call::~Call() {
  if (scratch_ != nullptr) api_.call(slot::ReleaseStatus, api_.call(slot::AllocatorFree, allocator_, scratch_));
}

Tensor Call::input(size_t index) const {
  const Value* value = nullptr;
  check(api_, api_.call(slot::KernelContext_GetInput, context_, index, &value));
  if (value == nullptr) throw Failure("input " + std::to_string(index) + " is missing");
  TensorInfo* info = nullptr;
  check(api_, api_.call(slot::GetTensorTypeAndShape, value, &info));
  Tensor tensor{};
  Status* status = api_.call(slot::GetTensorElementType, info, &tensor.type);
  if (status == nullptr) status = api_.call(slot::GetDimensionsCount, info, &tensor.rank);
  const bool fits = tensor.rank <= Tensor::kMaxRank;
  if (status == nullptr && fits) status = api_.call(slot::GetDimensions, info, tensor.shape, tensor.rank);
  api_.call(slot::ReleaseTensorTypeAndShapeInfo, info);
  check(api_, status);
  if (!fits) {
    throw Failure("input " + std::to_string(index) + " has " + std::to_string(tensor.rank) + " dimensions, at most " +
                  std::to_string(Tensor::kMaxRank) + " were expected");
  }
  void* data = nullptr;
  check(api_, api_.call(slot::GetTensorMutableData, const_cast<Value*>(value), &data));
  tensor.data = data;
  return tensor;
}

void* Call::output(size_t index, std::initializer_list<int64_t> shape) const {
  Value* value = nullptr;
  void* data = nullptr;
  check(api_, api_.call(slot::KernelContext_GetOutput, context_, index, shape.begin(), shape.size(), &value));
  check(api_, api_.call(slot::GetTensorMutableData, value, &data));
  return data;
}

void* Call::stream() const {
  void* stream = nullptr;
  check(api_, api_.call(slot::KernelContext_GetGPUComputeStream, context_, &stream));
  return stream;
}

Workspace Call::workspace(size_t size) {
  if (size == 0) return {nullptr, 0};
  if (!on_cuda()) return {thread_workspace(size), size};
  const MemoryInfo* memory = nullptr;
  check(api_, api_.call(slot::AllocatorGetInfo, allocator_, &memory));
  check(api_, api_.call(slot::KernelContext_GetScratchBuffer, context_, memory, size, &scratch_));
  return {scratch_, size};
}

void Call::run_tasks(void* call, void (*task)(void* context, int64_t index), void* context, int64_t tasks) {
  struct Job {
    void (*task)(void* context, int64_t index);
    void* context;
  } job{task, context};
  const Call& self = *static_cast<const Call*>(call);
  const slot::Task run = [](void* user, size_t index) {
    const Job& job = *static_cast<const Job*>(user);
    job.task(job.context, static_cast<int64_t>(index));
  };
  Status* const status =
      self.api_.call(slot::KernelContext_ParallelFor, self.context_, run, static_cast<size_t>(tasks), 0, &job);
  if (status == nullptr) return;
  // Refused before it began.
  self.api_.call(slot::ReleaseStatus, status);
  for (int64_t index = 0; index < tasks; ++index) task(context, index);
}

void refuse_inputs(const char* signature, std::initializer_list<Tensor> inputs) {
  std::string message = std::string("takes ") + signature + ", got";
  const char* separator = " ";
  for (const Tensor& input : inputs) {
    message += separator + input.describe();
    separator = ", ";
  }
  throw Failure(message);
}

void check(vexkd_status status) {
  if (status == VEXKD_OK) return;
  std::string message = vexkd_status_string(status);
  const char* name = nullptr;
  if (status == VEXKD_CUDA_ERROR && vexkd_last_cuda_error(&name) != 0) message += std::string(": ") + name;
  throw Failure(message, status == VEXKD_CUDA_ERROR ? ErrorCode::kRuntimeException : ErrorCode::kInvalidArgument);
}

}  // namespace vexkd::ort
