// ONNX Runtime's C API, declared by us so that nothing of ONNX Runtime is needed to compile.
//
// ONNX Runtime meets a caller through two exported functions, a table of function pointers that only ever grows at its
// end, and a few plain structs. This file states the facts in use: slot numbers, signatures, layouts, enumerators. It
// serves both sides: the operators that ONNX Runtime calls, and the C++ runtime that opens libonnxruntime and calls it
// (`OrtGetApiBase`, looked up by name). tests/plugins/test_onnxruntime_operators.py uses every operator's slot for
// real.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace vexkd::ort {

// Version of the table that is asked for: the oldest that has every slot below. OrtCustomOp carries the same number;
// ONNX Runtime refuses a struct that is newer than itself.
constexpr uint32_t kApiVersion = 18;
constexpr char kOldestVersion[] = "1.18";

// Objects of ONNX Runtime, never made by us.
struct Allocator;
struct CudaProviderOptions;  // OrtCUDAProviderOptionsV2
struct CustomOpDomain;
struct Env;
struct IoBinding;
struct KernelContext;
struct KernelInfo;
struct MemoryInfo;
struct OpAttribute;  // OrtOpAttr
struct RunOptions;
struct Session;
struct SessionOptions;
struct ShapeInference;  // OrtShapeInferContext
struct Status;          // null for success
struct TensorInfo;      // OrtTensorTypeAndShapeInfo
struct TypeInfo;
struct Value;

struct CustomOp;  // below

enum class ErrorCode : int32_t {
  kFail = 1,
  kInvalidArgument = 2,
  kNoSuchFile = 3,
  kNoModel = 4,
  kEngineError = 5,
  kRuntimeException = 6,
  kInvalidProtobuf = 7,
  kModelLoaded = 8,
  kNotImplemented = 9,
  kInvalidGraph = 10,
  kProviderFail = 11,
};

// ONNXTensorElementDataType, as onnx.TensorProto numbers them.
enum class ElementType : int32_t {
  kUndefined = 0,
  kFloat = 1,
  kUint8 = 2,
  kInt8 = 3,
  kUint16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kString = 8,
  kBool = 9,
  kFloat16 = 10,
  kDouble = 11,
};

enum class LoggingLevel : int32_t { kVerbose = 0, kInfo = 1, kWarning = 2, kError = 3, kFatal = 4 };

enum class OptimizationLevel : int32_t { kNone = 0, kBasic = 1, kExtended = 2, kAll = 99 };

enum class AllocatorType : int32_t { kDevice = 0, kArena = 1 };

// Where memory lies, as its provider sees it: kCpuOutput is memory of the host that the device reaches (pinned).
enum class MemoryType : int32_t { kCpuInput = -2, kCpuOutput = -1, kDefault = 0 };

enum class AttributeType : int32_t { kInt = 1, kInts = 2, kFloat = 3, kFloats = 4, kString = 5, kStrings = 6 };

enum class Characteristic : int32_t { kRequired = 0, kOptional = 1, kVariadic = 2 };

constexpr char kCpuProvider[] = "CPUExecutionProvider";
constexpr char kCudaProvider[] = "CUDAExecutionProvider";
// Names of memory for CreateMemoryInfo.
constexpr char kCudaMemory[] = "Cuda";
constexpr char kCudaPinnedMemory[] = "CudaPinned";

// Number and signature of one function of the table.
template <class Signature>
struct Slot {
  size_t number;
};

template <class... Parameters>
using Fallible = Slot<Status*(Parameters...)>;  // null, or a status that belongs to the caller
template <class Object>
using Release = Slot<void(Object*)>;  // takes null

// The table of slots under their official names. What a function makes is its last parameter, and is left alone when it
// fails. Strings are copied unless said otherwise.
namespace slot {

using Text = const char*;
using Shape = const int64_t*;  // followed by the rank

// Errors; the message belongs to the status.
constexpr Slot<Status*(ErrorCode, Text message)> CreateStatus{0};
constexpr Slot<ErrorCode(const Status*)> GetErrorCode{1};
constexpr Slot<Text(const Status*)> GetErrorMessage{2};
constexpr Release<Status> ReleaseStatus{93};

// Environment and providers.
constexpr Fallible<LoggingLevel, Text /*id*/, Env**> CreateEnv{3};
constexpr Release<Env> ReleaseEnv{92};
constexpr Fallible<char***, int*> GetAvailableProviders{125};
constexpr Fallible<char**, int> ReleaseAvailableProviders{126};

// Options of a session. Domains and operators are not copied: they must outlive every session that is made with them.
constexpr Fallible<SessionOptions**> CreateSessionOptions{10};
constexpr Release<SessionOptions> ReleaseSessionOptions{100};
constexpr Fallible<SessionOptions*, Text /*path*/> SetOptimizedModelFilePath{11};
constexpr Fallible<SessionOptions*> DisableMemPattern{17};
constexpr Fallible<SessionOptions*> DisableCpuMemArena{19};
constexpr Fallible<SessionOptions*, int /*LoggingLevel*/> SetSessionLogSeverityLevel{22};
constexpr Fallible<SessionOptions*, OptimizationLevel> SetSessionGraphOptimizationLevel{23};
constexpr Fallible<SessionOptions*, int> SetIntraOpNumThreads{24};
constexpr Fallible<SessionOptions*, int> SetInterOpNumThreads{25};
constexpr Fallible<SessionOptions*, Text /*key*/, Text /*value*/> AddSessionConfigEntry{130};
constexpr Fallible<const SessionOptions*, Text /*key*/, int*> HasSessionConfigEntry{237};
// The size is the buffer's, then that of the value with its end; with a null buffer only the latter.
constexpr Fallible<const SessionOptions*, Text /*key*/, char* /*value*/, size_t* /*size*/> GetSessionConfigEntry{238};
constexpr Fallible<Text /*domain*/, CustomOpDomain**> CreateCustomOpDomain{26};
constexpr Release<CustomOpDomain> ReleaseCustomOpDomain{101};
constexpr Fallible<CustomOpDomain*, const CustomOp*> CustomOpDomain_Add{27};
constexpr Fallible<SessionOptions*, CustomOpDomain*> AddCustomOpDomain{28};

constexpr Fallible<CudaProviderOptions**> CreateCUDAProviderOptions{205};
constexpr Release<CudaProviderOptions> ReleaseCUDAProviderOptions{208};
constexpr Fallible<CudaProviderOptions*, const Text* /*keys*/, const Text* /*values*/, size_t>
    UpdateCUDAProviderOptions{206};
constexpr Fallible<SessionOptions*, const CudaProviderOptions*> SessionOptionsAppendExecutionProvider_CUDA_V2{204};

// Sessions. Names come from the given allocator and go back to it with AllocatorFree.
constexpr Fallible<const Env*, Text /*path*/, const SessionOptions*, Session**> CreateSession{7};
constexpr Fallible<const Env*, const void* /*model*/, size_t, const SessionOptions*, Session**> CreateSessionFromArray{
    8};
constexpr Release<Session> ReleaseSession{95};
constexpr Fallible<const Session*, size_t*> SessionGetInputCount{30};
constexpr Fallible<const Session*, size_t*> SessionGetOutputCount{31};
constexpr Fallible<const Session*, size_t /*index*/, TypeInfo**> SessionGetInputTypeInfo{33};
constexpr Fallible<const Session*, size_t /*index*/, TypeInfo**> SessionGetOutputTypeInfo{34};
constexpr Fallible<const Session*, size_t /*index*/, Allocator*, char**> SessionGetInputName{36};
constexpr Fallible<const Session*, size_t /*index*/, Allocator*, char**> SessionGetOutputName{37};
// Names and values of the inputs, then names of the outputs, and values: null for what ONNX Runtime shall make.
constexpr Fallible<Session*, const RunOptions*, const Text*, const Value* const*, size_t, const Text*, size_t, Value**>
    Run{9};
constexpr Fallible<RunOptions**> CreateRunOptions{39};
constexpr Release<RunOptions> ReleaseRunOptions{97};
constexpr Fallible<RunOptions*> RunOptionsSetTerminate{46};
constexpr Fallible<RunOptions*, Text /*key*/, Text /*value*/> AddRunConfigEntry{165};

// Inputs and outputs bound once, for many runs.
constexpr Fallible<Session*, IoBinding**> CreateIoBinding{134};
constexpr Release<IoBinding> ReleaseIoBinding{135};
constexpr Fallible<IoBinding*, Text /*name*/, const Value*> BindInput{136};
constexpr Fallible<IoBinding*, Text /*name*/, const Value*> BindOutput{137};
constexpr Fallible<IoBinding*, Text /*name*/, const MemoryInfo*> BindOutputToDevice{138};
constexpr Slot<void(IoBinding*)> ClearBoundInputs{141};
constexpr Slot<void(IoBinding*)> ClearBoundOutputs{142};
constexpr Fallible<Session*, const RunOptions*, const IoBinding*> RunWithBinding{133};
constexpr Fallible<IoBinding*> SynchronizeBoundInputs{202};
constexpr Fallible<IoBinding*> SynchronizeBoundOutputs{203};

// Memory. The default allocator is never released; what AllocatorGetInfo gives belongs to the allocator.
constexpr Fallible<Text /*name*/, AllocatorType, int /*device*/, MemoryType, MemoryInfo**> CreateMemoryInfo{68};
constexpr Fallible<AllocatorType, MemoryType, MemoryInfo**> CreateCpuMemoryInfo{69};
constexpr Release<MemoryInfo> ReleaseMemoryInfo{94};
constexpr Fallible<Allocator**> GetAllocatorWithDefaultOptions{78};
constexpr Fallible<Allocator*, void*> AllocatorFree{76};
constexpr Fallible<const Allocator*, const MemoryInfo**> AllocatorGetInfo{77};
constexpr Release<Allocator> ReleaseAllocator{132};

// Tensors. One made from the caller's memory (data, bytes) does not own it.
constexpr Fallible<const MemoryInfo*, void*, size_t, Shape, size_t, ElementType, Value**>
    CreateTensorWithDataAsOrtValue{49};
constexpr Release<Value> ReleaseValue{96};
constexpr Fallible<Value*, void**> GetTensorMutableData{51};
constexpr Fallible<const Value*, TensorInfo**> GetTensorTypeAndShape{65};

// Types and shapes. An unknown dimension is -1, with its symbol if it has one. Symbols belong to the info they are read
// from; the info that a TypeInfo is cast to belongs to it.
constexpr Release<TypeInfo> ReleaseTypeInfo{98};
constexpr Fallible<const TypeInfo*, const TensorInfo**> CastTypeInfoToTensorInfo{55};
constexpr Fallible<TensorInfo**> CreateTensorTypeAndShapeInfo{57};
constexpr Release<TensorInfo> ReleaseTensorTypeAndShapeInfo{99};
constexpr Fallible<const TensorInfo*, ElementType*> GetTensorElementType{60};
constexpr Fallible<TensorInfo*, ElementType> SetTensorElementType{58};
constexpr Fallible<const TensorInfo*, size_t* /*rank*/> GetDimensionsCount{61};
constexpr Fallible<const TensorInfo*, int64_t*, size_t> GetDimensions{62};
constexpr Fallible<TensorInfo*, Shape, size_t> SetDimensions{59};
constexpr Fallible<const TensorInfo*, Text*, size_t> GetSymbolicDimensions{63};
constexpr Fallible<TensorInfo*, Text*, size_t> SetSymbolicDimensions{271};
constexpr Fallible<const TensorInfo*, size_t*> GetTensorShapeElementCount{64};

// A custom operator: its attributes when the kernel is made (sizes count floats, as GetSessionConfigEntry's bytes), its
// values when it runs.
constexpr Fallible<const KernelInfo*, Text /*name*/, int64_t*> KernelInfoGetAttribute_int64{86};
constexpr Fallible<const KernelInfo*, Text /*name*/, float*, size_t*> KernelInfoGetAttributeArray_float{162};
constexpr Fallible<const KernelInfo*, MemoryType, Allocator**> KernelInfoGetAllocator{278};
constexpr Fallible<const KernelContext*, size_t /*index*/, const Value**> KernelContext_GetInput{90};
constexpr Fallible<KernelContext*, size_t /*index*/, Shape, size_t, Value**> KernelContext_GetOutput{91};
constexpr Fallible<const KernelContext*, void** /*stream*/> KernelContext_GetGPUComputeStream{193};
// task(user, i) for every i below the count, on the session's threads; with 0 batches they are handed out one by one.
using Task = void (*)(void* user, size_t index);
constexpr Fallible<const KernelContext*, Task, size_t /*count*/, size_t /*batches*/, void* /*user*/>
    KernelContext_ParallelFor{274};
// Memory for what this kernel puts on its stream; goes back with AllocatorFree. Not on the CPU provider, where ONNX
// Runtime still takes a stream for granted.
constexpr Fallible<const KernelContext*, const MemoryInfo*, size_t, void**> KernelContext_GetScratchBuffer{277};

// Shape inference of a custom operator. What these return belongs to the context.
constexpr Fallible<const ShapeInference*, size_t*> ShapeInferContext_GetInputCount{267};
constexpr Fallible<const ShapeInference*, size_t /*index*/, TensorInfo**> ShapeInferContext_GetInputTypeShape{268};
constexpr Fallible<const ShapeInference*, Text /*name*/, const OpAttribute**> ShapeInferContext_GetAttribute{269};
constexpr Fallible<const ShapeInference*, size_t /*index*/, const TensorInfo*> ShapeInferContext_SetOutputTypeShape{
    270};
constexpr Fallible<const OpAttribute*, AttributeType, void* /*data*/, size_t, size_t* /*written*/> ReadOpAttr{272};

}  // namespace slot

/// OrtApi: the table of one ONNX Runtime. Called as api.call(slot::RunWithBinding, session, nullptr, binding).
struct Api {
  template <class Result, class... Parameters>
  Result call(Slot<Result(Parameters...)> slot,
              typename std::common_type<Parameters>::type... arguments) const noexcept {
    using Function = Result (*)(Parameters...);
    return reinterpret_cast<Function const*>(this)[slot.number](arguments...);
  }
};

/// OrtApiBase, what OrtGetApiBase() returns; static storage.
struct ApiBase {
  const Api* (*get_api)(uint32_t version);  // null for a version that this ONNX Runtime does not know
  const char* (*version)();                 // GetVersionString: "1.20.1"
};

/// OrtCustomOp of struct version 18. ONNX Runtime keeps the pointer, so a struct that begins with one is an operator
/// with fields of its own.
struct CustomOp {
  uint32_t version = kApiVersion;
  void* (*create_kernel)(const CustomOp*, const Api*, const KernelInfo*) = nullptr;  // superseded by create_kernel_v2
  const char* (*name)(const CustomOp*) = nullptr;
  const char* (*provider)(const CustomOp*) = nullptr;
  ElementType (*input_type)(const CustomOp*, size_t index) = nullptr;
  size_t (*input_count)(const CustomOp*) = nullptr;
  ElementType (*output_type)(const CustomOp*, size_t index) = nullptr;
  size_t (*output_count)(const CustomOp*) = nullptr;
  void (*compute)(void* kernel, KernelContext*) = nullptr;  // superseded by compute_v2
  void (*destroy_kernel)(void* kernel) = nullptr;
  Characteristic (*input_characteristic)(const CustomOp*, size_t index) = nullptr;
  Characteristic (*output_characteristic)(const CustomOp*, size_t index) = nullptr;
  MemoryType (*input_memory)(const CustomOp*, size_t index) = nullptr;
  int (*variadic_input_minimum)(const CustomOp*) = nullptr;
  int (*variadic_input_homogeneous)(const CustomOp*) = nullptr;
  int (*variadic_output_minimum)(const CustomOp*) = nullptr;
  int (*variadic_output_homogeneous)(const CustomOp*) = nullptr;
  Status* (*create_kernel_v2)(const CustomOp*, const Api*, const KernelInfo*, void** kernel) = nullptr;
  Status* (*compute_v2)(void* kernel, KernelContext*) = nullptr;
  Status* (*infer_shapes)(const CustomOp*, ShapeInference*) = nullptr;
  int (*start_version)(const CustomOp*) = nullptr;
  int (*end_version)(const CustomOp*) = nullptr;
  size_t (*may_inplace)(int** inputs, int** outputs) = nullptr;
  void (*release_may_inplace)(int* inputs, int* outputs) = nullptr;
  size_t (*alias_map)(int** inputs, int** outputs) = nullptr;
  void (*release_alias_map)(int* inputs, int* outputs) = nullptr;
};
static_assert(sizeof(CustomOp) == 26 * sizeof(void*), "a version and 25 functions");

}  // namespace vexkd::ort
