// ONNX Runtime's side of our operators, played here because it needs a GPU to have a CUDA provider. Built with the
// emulated CUDA kernels, which take host memory; see test_onnxruntime_cuda.py. Each check returns null or what is
// wrong.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "registration.hpp"
#include "vexkd/bev_pool.h"
#include "vexkd/pillar_max.h"
#include "vexkd/voxelize.h"

namespace vexkd::ort {

struct Status {
  ErrorCode code;
  std::string message;
};
struct Value {
  ElementType type;
  std::vector<int64_t> shape;
  std::vector<char> bytes;
};
struct TensorInfo {
  const Value* value;
};
struct CustomOpDomain {
  std::vector<const CustomOp*> ops;
};
struct SessionOptions {
  std::string threads;
  std::vector<CustomOpDomain*> domains;
};
struct KernelInfo {
  std::map<std::string, std::vector<float>> floats;
  std::map<std::string, int64_t> ints;
};
struct MemoryInfo {};
struct Allocator {
  MemoryInfo memory;
};
struct KernelContext {
  std::vector<Value> inputs, outputs;
};

namespace {

using Task = void (*)(void*, size_t);

// What was made and not yet given back, and what was asked for.
struct Ledger {
  int statuses, infos, allocators, scratch, domains, streams;
  size_t scratch_size;
  bool no_scratch;
} ledger;

Status* fail(const char* message) {
  ++ledger.statuses;
  return new Status{ErrorCode::kFail, message};
}

size_t element_size(ElementType type) {
  if (type == ElementType::kUint8) return 1;
  return type == ElementType::kFloat16 ? 2 : 4;
}

Value make_value(ElementType type, std::vector<int64_t> shape) {
  size_t count = 1;
  for (const int64_t size : shape) count *= static_cast<size_t>(size);
  return {type, std::move(shape), std::vector<char>(count * element_size(type), char(0xCD))};
}

// The table; set() takes only functions of the slot's own signature.
struct Table {
  void* functions[300] = {};

  template <class Signature>
  void set(Slot<Signature> slot, Signature* function) {
    functions[slot.number] = reinterpret_cast<void*>(function);
  }

  Table() {
    set(
        slot::CreateStatus, +[](ErrorCode code, const char* message) {
          ++ledger.statuses;
          return new Status{code, message};
        });
    set(slot::GetErrorCode, +[](const Status* status) { return status->code; });
    set(slot::GetErrorMessage, +[](const Status* status) { return status->message.c_str(); });
    set(
        slot::ReleaseStatus, +[](Status* status) {
          if (status != nullptr) --ledger.statuses;
          delete status;
        });
    set(
        slot::CreateCustomOpDomain, +[](const char* name, CustomOpDomain** domain) -> Status* {
          if (std::strcmp(name, "vexkd") != 0) return fail("another domain");
          ++ledger.domains;
          *domain = new CustomOpDomain;
          return nullptr;
        });
    set(
        slot::CustomOpDomain_Add, +[](CustomOpDomain* domain, const CustomOp* op) -> Status* {
          domain->ops.push_back(op);
          return nullptr;
        });
    set(
        slot::AddCustomOpDomain, +[](SessionOptions* options, CustomOpDomain* domain) -> Status* {
          options->domains.push_back(domain);
          return nullptr;
        });
    set(
        slot::HasSessionConfigEntry, +[](const SessionOptions* options, const char*, int* has) -> Status* {
          *has = options->threads.empty() ? 0 : 1;
          return nullptr;
        });
    set(
        slot::GetSessionConfigEntry,
        +[](const SessionOptions* options, const char*, char* value, size_t* size) -> Status* {
          if (*size <= options->threads.size()) return fail("the buffer is too small");
          std::strcpy(value, options->threads.c_str());
          return nullptr;
        });
    set(
        slot::KernelInfoGetAttribute_int64, +[](const KernelInfo* info, const char* name, int64_t* value) -> Status* {
          if (info->ints.count(name) == 0) return fail("no such attribute");
          *value = info->ints.at(name);
          return nullptr;
        });
    set(
        slot::KernelInfoGetAttributeArray_float,
        +[](const KernelInfo* info, const char* name, float* values, size_t* size) -> Status* {
          if (info->floats.count(name) == 0) return fail("no such attribute");
          const std::vector<float>& given = info->floats.at(name);
          *size = given.size();
          if (values != nullptr) std::copy(given.begin(), given.end(), values);
          return nullptr;
        });
    set(
        slot::KernelInfoGetAllocator, +[](const KernelInfo*, MemoryType type, Allocator** allocator) -> Status* {
          if (type != MemoryType::kDefault) return fail("memory of another type");
          ++ledger.allocators;
          *allocator = new Allocator;
          return nullptr;
        });
    set(
        slot::ReleaseAllocator, +[](Allocator* allocator) {
          if (allocator != nullptr) --ledger.allocators;
          delete allocator;
        });
    set(
        slot::AllocatorGetInfo, +[](const Allocator* allocator, const MemoryInfo** info) -> Status* {
          *info = &allocator->memory;
          return nullptr;
        });
    set(
        slot::KernelContext_GetScratchBuffer,
        +[](const KernelContext*, const MemoryInfo*, size_t size, void** memory) -> Status* {
          if (ledger.no_scratch) return fail("out of device memory");
          ++ledger.scratch;
          ledger.scratch_size = size;
          *memory = std::aligned_alloc(VEXKD_CUDA_ALIGNMENT, (size + 255) / 256 * 256);
          std::memset(*memory, 0xCD, size);
          return nullptr;
        });
    set(
        slot::AllocatorFree, +[](Allocator*, void* memory) -> Status* {
          --ledger.scratch;
          std::free(memory);
          return nullptr;
        });
    set(
        slot::KernelContext_GetGPUComputeStream, +[](const KernelContext*, void** stream) -> Status* {
          ++ledger.streams;
          *stream = nullptr;
          return nullptr;
        });
    set(
        slot::KernelContext_ParallelFor,
        +[](const KernelContext*, Task task, size_t count, size_t, void* user) -> Status* {
          for (size_t index = count; index > 0; --index) task(user, index - 1);
          return nullptr;
        });
    set(
        slot::KernelContext_GetInput, +[](const KernelContext* context, size_t index, const Value** value) -> Status* {
          *value = &context->inputs.at(index);
          return nullptr;
        });
    set(
        slot::KernelContext_GetOutput,
        +[](KernelContext* context, size_t index, const int64_t* shape, size_t rank, Value** value) -> Status* {
          Value& output = context->outputs.at(index);
          output = make_value(output.type, std::vector<int64_t>(shape, shape + rank));
          *value = &output;
          return nullptr;
        });
    set(
        slot::GetTensorMutableData, +[](Value* value, void** data) -> Status* {
          *data = value->bytes.data();
          return nullptr;
        });
    set(
        slot::GetTensorTypeAndShape, +[](const Value* value, TensorInfo** info) -> Status* {
          ++ledger.infos;
          *info = new TensorInfo{value};
          return nullptr;
        });
    set(
        slot::ReleaseTensorTypeAndShapeInfo, +[](TensorInfo* info) {
          --ledger.infos;
          delete info;
        });
    set(
        slot::GetTensorElementType, +[](const TensorInfo* info, ElementType* type) -> Status* {
          *type = info->value->type;
          return nullptr;
        });
    set(
        slot::GetDimensionsCount, +[](const TensorInfo* info, size_t* rank) -> Status* {
          *rank = info->value->shape.size();
          return nullptr;
        });
    set(
        slot::GetDimensions, +[](const TensorInfo* info, int64_t* shape, size_t rank) -> Status* {
          std::copy_n(info->value->shape.begin(), rank, shape);
          return nullptr;
        });
  }
};

const Api* table() {
  static const Table made;
  return reinterpret_cast<const Api*>(&made);
}

const char* version() { return "1.9.9"; }
constexpr ApiBase kCurrent{[](uint32_t wanted) { return wanted <= kApiVersion ? table() : nullptr; }, version};
constexpr ApiBase kOld{[](uint32_t wanted) { return wanted <= 9 ? table() : nullptr; }, version};
constexpr ApiBase kNone{[](uint32_t) -> const Api* { return nullptr; }, version};

// The message of a status, which is given back; "" for success.
std::string message_of(Status* status) {
  const std::string message = status == nullptr ? "" : status->message;
  if (status != nullptr) table()->call(slot::ReleaseStatus, status);
  return message;
}

// A check's answer; it lives until the next one.
const char* answer(const std::string& message) {
  static std::string kept;
  kept = message;
  return kept.empty() ? nullptr : kept.c_str();
}

constexpr int64_t kHeight = 9, kWidth = 14;

KernelInfo attributes(const CustomOp* op) {
  KernelInfo info;
  info.floats = {{"range", {-7, -4.5, -3, 7, 4.5, 3}},
                 {"cell", {1, 1}},
                 {"depths", {0.125, 0.25, 0.5}},
                 {"mean", {100, 90, 80}},
                 {"deviation", {50, 60, 70}}};
  info.ints = {{"height", kHeight},   {"width", kWidth},    {"dtype", static_cast<int64_t>(op->output_type(op, 0))},
               {"feature_height", 4}, {"feature_width", 5}, {"stride", 1}};
  return info;
}

// Reals of -8 .. 8 in steps of 1/16, which FP16 holds too.
Value reals(std::mt19937& random, ElementType type, std::vector<int64_t> shape) {
  Value value = make_value(type, std::move(shape));
  const size_t size = element_size(type);
  for (size_t at = 0; at < value.bytes.size(); at += size) {
    const float number = static_cast<float>(static_cast<int>(random() % 257) - 128) / 16;
    if (type == ElementType::kFloat16) {
      const _Float16 half = static_cast<_Float16>(number);
      std::memcpy(&value.bytes[at], &half, size);
    } else {
      std::memcpy(&value.bytes[at], &number, size);
    }
  }
  return value;
}

Value integers(std::vector<int64_t> shape, const std::function<int32_t(size_t)>& make) {
  Value value = make_value(ElementType::kInt32, std::move(shape));
  for (size_t i = 0; i < value.bytes.size() / 4; ++i) {
    const int32_t number = make(i);
    std::memcpy(&value.bytes[i * 4], &number, 4);
  }
  return value;
}

std::vector<Value> inputs_of(const std::string& name, ElementType real, std::mt19937& random) {
  const auto any = [&](int32_t low, int32_t high) {
    return [=, &random](size_t) { return low + static_cast<int32_t>(random() % static_cast<uint32_t>(high - low)); };
  };
  if (name == "Voxelize") return {reals(random, real, {700, 5}), integers({1}, [](size_t) { return 650; })};
  if (name == "FrustumIndex") return {reals(random, real, {3, 3, 3}), reals(random, real, {3, 3})};
  if (name == "PillarMax") {
    return {reals(random, real, {700, 19}), integers({700}, any(-2, kHeight * kWidth + 2))};
  }
  if (name == "PrepareImages") {
    Value images = make_value(ElementType::kUint8, {2, 31, 40, 3});
    for (char& byte : images.bytes) byte = static_cast<char>(random());
    return {images};
  }
  const int64_t frustum = 2 * 6 * 4 * 5;
  const auto begin = [&](size_t cell) {
    return static_cast<int32_t>(static_cast<int64_t>(cell) * frustum / (kHeight * kWidth));
  };
  return {reals(random, real, {2, 6, 4, 5}), reals(random, real, {2, 11, 4, 5}),
          integers({frustum}, any(-1, frustum + 1)), integers({kHeight * kWidth + 1}, begin)};
}

// Run one operator as a session does; its outputs are in the context.
std::string run(const CustomOp* op, const KernelInfo& info, KernelContext& context) {
  context.outputs.clear();
  for (size_t i = 0; i < op->output_count(op); ++i) context.outputs.push_back({op->output_type(op, i), {}, {}});
  void* kernel = nullptr;
  const std::string refused = message_of(op->create_kernel_v2(op, table(), &info, &kernel));
  if (!refused.empty()) return refused;
  const std::string failed = message_of(op->compute_v2(kernel, &context));
  op->destroy_kernel(kernel);
  return failed;
}

float real_at(const Value& value, size_t index) {
  if (value.type == ElementType::kFloat16) {
    _Float16 half;
    std::memcpy(&half, &value.bytes[index * 2], 2);
    return static_cast<float>(half);
  }
  float number;
  std::memcpy(&number, &value.bytes[index * 4], 4);
  return number;
}

// BevPool adds in another order on a GPU, everything else has the same bits.
bool agree(const Value& found, const Value& expected, bool bits) {
  if (found.shape != expected.shape || found.type != expected.type) return false;
  if (bits || found.type == ElementType::kInt32) return found.bytes == expected.bytes;
  const float tolerance = found.type == ElementType::kFloat16 ? 4e-3F : 3e-5F;
  for (size_t i = 0; i < found.bytes.size() / element_size(found.type); ++i) {
    const float wanted = real_at(expected, i);
    if (!(std::abs(real_at(found, i) - wanted) <= tolerance * std::max(1.0F, std::abs(wanted)))) return false;
  }
  return true;
}

std::vector<const CustomOp*> operators(const char* provider) {
  SessionOptions options{"2", {}};
  message_of(RegisterCustomOps(&options, &kCurrent));
  std::vector<const CustomOp*> found;
  for (const CustomOp* op : options.domains.at(0)->ops) {
    if (std::strcmp(op->provider(op), provider) == 0) found.push_back(op);
  }
  return found;
}

std::string nothing_is_out() {
  const bool even = ledger.statuses == 0 && ledger.infos == 0 && ledger.allocators == 0 && ledger.scratch == 0;
  return even ? "" : "something was not given back";
}

std::string compare_providers(unsigned seed) {
  const std::vector<const CustomOp*> cpu = operators(kCpuProvider), cuda = operators(kCudaProvider);
  if (cpu.size() != 8 || cuda.size() != 8) return "there must be eight operators for each provider";
  for (size_t i = 0; i < cuda.size(); ++i) {
    const CustomOp* op = cuda[i];
    const std::string name = op->name(op);
    const KernelInfo info = attributes(op);
    if (op->version != kApiVersion || name != cpu[i]->name(cpu[i])) return name + ": another version or order";
    for (size_t input = 0; input < op->input_count(op); ++input) {
      if (op->input_memory(op, input) != MemoryType::kDefault) return name + ": an input is not in device memory";
    }
    std::mt19937 random(seed);
    KernelContext on_cpu{inputs_of(name, op->input_type(op, 0), random), {}}, on_cuda{on_cpu.inputs, {}};
    const int streams = ledger.streams;
    for (const std::string& failed : {run(cpu[i], info, on_cpu), run(op, info, on_cuda)}) {
      if (!failed.empty()) return failed;
    }
    if (ledger.streams != streams + 1) return name + ": the stream was not asked for once";
    for (size_t output = 0; output < on_cpu.outputs.size(); ++output) {
      if (!agree(on_cuda.outputs[output], on_cpu.outputs[output], name != "BevPool")) return name + ": they differ";
    }
  }
  return nothing_is_out();
}

}  // namespace
}  // namespace vexkd::ort

using namespace vexkd::ort;

// CUDA operators give what those of the CPU give, on the provider's stream, and give back what they were lent.
extern "C" VEXKD_API const char* providers_agree(unsigned seed) { return answer(compare_providers(seed)); }

// Where the provider has no memory, the node fails with its reason.
extern "C" VEXKD_API const char* missing_scratch_is_told() {
  ledger.no_scratch = true;
  for (const CustomOp* op : operators(kCudaProvider)) {
    if (std::strcmp(op->name(op), "PrepareImages") == 0) continue;  // it needs none
    std::mt19937 random(0);
    KernelContext context{inputs_of(op->name(op), op->input_type(op, 0), random), {}};
    const std::string failed = run(op, attributes(op), context);
    if (failed != std::string("vexkd ") + op->name(op) + ": out of device memory") return answer("got: " + failed);
  }
  ledger.no_scratch = false;
  return answer(nothing_is_out());
}

// Sessions share one domain for each number of threads.
extern "C" VEXKD_API const char* domains_are_few() {
  ledger.domains = 0;
  for (int repeat = 0; repeat < 200; ++repeat) {
    SessionOptions options{std::to_string(repeat % 4 + 3), {}};
    const std::string failed = message_of(RegisterCustomOps(&options, &kCurrent));
    if (!failed.empty() || options.domains.size() != 1) return answer("not registered: " + failed);
  }
  for (const char* many : {"64", "65", "2000000000"}) {
    SessionOptions options{many, {}};
    message_of(RegisterCustomOps(&options, &kCurrent));
  }
  return answer(ledger.domains == 5 ? "" : std::to_string(ledger.domains) + " domains were made, 5 are needed");
}

// An ONNX Runtime without our version of the table is told so, if it has any.
extern "C" VEXKD_API const char* old_versions_are_refused() {
  SessionOptions options;
  const std::string told = message_of(RegisterCustomOps(&options, &kOld));
  if (told != "vexkd: the operators need ONNX Runtime 1.18 or newer, this one is 1.9.9") return answer("got: " + told);
  if (RegisterCustomOps(&options, &kNone) != nullptr || RegisterCustomOps(&options, nullptr) != nullptr) {
    return answer("a status without a table to make it from");
  }
  if (message_of(RegisterCustomOps(nullptr, &kCurrent)).find("without session options") == std::string::npos) {
    return answer("no options were taken");
  }
  return answer(options.domains.empty() ? nothing_is_out() : "a domain was added");
}
