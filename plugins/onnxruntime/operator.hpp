// What the operators share: the struct that ONNX Runtime is handed, and the way from its callbacks to a kernel.
#pragma once

#include <memory>

#include "attributes.hpp"
#include "call.hpp"
#include "failure.hpp"
#include "ort_api.h"
#include "shape_inference.hpp"

namespace vexkd::ort {

/// One operator for one provider and one type of its real numbers. ONNX Runtime keeps the pointer in every session, so
/// it lives as long as the process. `Kernel` has, as public members:
///   kName; kInputs, kOutputs: how many
///   static ElementType input_type(size_t index, ElementType real), output_type(...)
///   static void infer(const ShapeContext& context)
///   Kernel(const Attributes& attributes)   checks them
///   void run(Call& call) const             checks the inputs; several threads at once
template <class Kernel>
class Operator : public CustomOp {
 public:
  /// `threads` is how many a session has for this operator.
  Operator(const Api& api, Device device, int32_t threads, ElementType real = ElementType::kFloat)
      : api_(api), device_(device), threads_(threads), real_(real) {
    name = [](const CustomOp*) -> const char* { return Kernel::kName; };
    provider = [](const CustomOp* op) -> const char* {
      return self(op).device_ == Device::kCuda ? kCudaProvider : kCpuProvider;
    };
    input_count = [](const CustomOp*) { return Kernel::kInputs; };
    output_count = [](const CustomOp*) { return Kernel::kOutputs; };
    input_type = [](const CustomOp* op, size_t index) { return Kernel::input_type(index, self(op).real_); };
    output_type = [](const CustomOp* op, size_t index) { return Kernel::output_type(index, self(op).real_); };
    input_characteristic = [](const CustomOp*, size_t) { return Characteristic::kRequired; };
    output_characteristic = [](const CustomOp*, size_t) { return Characteristic::kRequired; };
    // The CUDA kernels read everything, a count too, from device memory.
    input_memory = [](const CustomOp*, size_t) { return MemoryType::kDefault; };
    start_version = [](const CustomOp*) { return 1; };
    infer_shapes = [](const CustomOp* op, ShapeInference* context) -> Status* {
      Kernel::infer(ShapeContext(self(op).api_, context));
      return nullptr;
    };
    create_kernel_v2 = [](const CustomOp* op, const Api*, const KernelInfo* info, void** kernel) -> Status* {
      return guarded(self(op).api_, Kernel::kName, [&] { *kernel = new Instance(self(op), info); });
    };
    compute_v2 = [](void* kernel, KernelContext* context) -> Status* {
      const Instance& instance = *static_cast<const Instance*>(kernel);
      return guarded(instance.api, Kernel::kName, [&] {
        Call call(instance.api, context, instance.allocator.get(), instance.threads);
        instance.kernel.run(call);
      });
    };
    destroy_kernel = [](void* kernel) { delete static_cast<Instance*>(kernel); };
  }
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;

 private:
  struct ReleaseAllocator {
    const Api* api;
    void operator()(Allocator* allocator) const { api->call(slot::ReleaseAllocator, allocator); }
  };

  // A node's kernel.
  struct Instance {
    Instance(const Operator& op, const KernelInfo* info)
        : api(op.api_), threads(op.threads_), kernel(Attributes(op.api_, info)), allocator(nullptr, {&op.api_}) {
      if (op.device_ == Device::kCpu) return;
      Allocator* given = nullptr;
      check(api, api.call(slot::KernelInfoGetAllocator, info, MemoryType::kDefault, &given));
      allocator.reset(given);
    }
    const Api& api;
    const int32_t threads;
    const Kernel kernel;
    std::unique_ptr<Allocator, ReleaseAllocator> allocator;  // of the CUDA provider
  };

  static const Operator& self(const CustomOp* op) { return *static_cast<const Operator*>(op); }

  const Api& api_;
  const Device device_;
  const int32_t threads_;
  const ElementType real_;
};

}  // namespace vexkd::ort
