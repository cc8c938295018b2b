// One run of a kernel: its tensors, its threads, its scratch memory.
#pragma once

#include <initializer_list>
#include <string>

#include "ort_api.h"
#include "parallel.h"
#include "vexkd/executor.h"
#include "vexkd/types.h"

namespace vexkd::ort {

/// The provider that a kernel runs on.
enum class Device { kCpu, kCuda };

/// An input: dense, row-major.
struct Tensor {
  static constexpr size_t kMaxRank = 8;
  static constexpr int64_t kAny = -1;

  const void* data;
  ElementType type;
  size_t rank;
  int64_t shape[kMaxRank];

  /// Whether the shape is this one (kAny: any size) and every size fits the kernels' int32.
  bool has_shape(std::initializer_list<int64_t> expected) const;
  int32_t size(size_t axis) const { return static_cast<int32_t>(shape[axis]); }
  template <class T>
  const T* as() const {
    return static_cast<const T*>(data);
  }
  /// "float32 (7, 4)".
  std::string describe() const;
};

inline vexkd_dtype dtype_of(ElementType type) { return type == ElementType::kFloat16 ? VEXKD_F16 : VEXKD_F32; }

struct Workspace {
  void* data;
  size_t size;
};

/// What a kernel sees while it runs. While it lives, CPU kernels of this thread run on the session's own threads.
class Call {
 public:
  /// `allocator` is the CUDA provider's, null on the CPU; `threads` is how many the session has.
  Call(const Api& api, KernelContext* context, Allocator* allocator, int32_t threads);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  Tensor input(size_t index) const;
  void* output(size_t index, std::initializer_list<int64_t> shape) const;
  bool on_cuda() const { return allocator_ != nullptr; }
  int32_t threads() const { return executor_.threads; }
  void* stream() const;

  /// Memory of `size` bytes until the call ends: on the CPU this thread's, kept for its next call; on CUDA the
  /// provider's, ordered by the stream. Once per call.
  Workspace workspace(size_t size);

 private:
  static void run_tasks(void* call, void (*task)(void* context, int64_t index), void* context, int64_t tasks);

  const Api& api_;
  KernelContext* const context_;
  Allocator* const allocator_;
  void* scratch_ = nullptr;
  const vexkd_executor executor_;
  const ExecutorScope scope_;
};

/// Throw Failure: the operator takes `signature`, the inputs are others.
[[noreturn]] void refuse_inputs(const char* signature, std::initializer_list<Tensor> inputs);

/// Throw Failure with the kernel's reason unless it succeeded.
void check(vexkd_status status);

}  // namespace vexkd::ort
