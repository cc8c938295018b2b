#include "vexkd/types.h"

#include <cstring>

#include "cuda_error.h"
#include "vexkd/accumulate_sweeps.h"
#include "vexkd/bev_pool.h"
#include "vexkd/executor.h"
#include "vexkd/frustum_index.h"
#include "vexkd/prepare_images.h"
#include "vexkd/select_boxes.h"

#ifdef __VERSION__
#define VEXKD_COMPILER __VERSION__
#else
#define VEXKD_COMPILER "unknown"
#endif

namespace vexkd {
namespace {

struct Sized {
  const char* name;
  size_t size;
};

constexpr Sized kStructs[] = {
    {"vexkd_grid", sizeof(vexkd_grid)},
    {"vexkd_bev_pool_shape", sizeof(vexkd_bev_pool_shape)},
    {"vexkd_frustum_shape", sizeof(vexkd_frustum_shape)},
    {"vexkd_image_shape", sizeof(vexkd_image_shape)},
    {"vexkd_sweep", sizeof(vexkd_sweep)},
    {"vexkd_class_rule", sizeof(vexkd_class_rule)},
    {"vexkd_executor", sizeof(vexkd_executor)},
};

thread_local int32_t t_cuda_error = 0;
thread_local const char* t_cuda_error_name = "cudaSuccess";

}  // namespace

vexkd_status record_cuda_error(int32_t code, const char* name) {
  t_cuda_error = code;
  t_cuda_error_name = name;
  return VEXKD_CUDA_ERROR;
}

}  // namespace vexkd

int32_t vexkd_abi_version(void) { return VEXKD_ABI_VERSION; }

const char* vexkd_status_string(vexkd_status status) {
  switch (status) {
    case VEXKD_OK:
      return "success";
    case VEXKD_NULL_POINTER:
      return "a required pointer is null";
    case VEXKD_INVALID_ARGUMENT:
      return "a size, grid, dtype or layout is invalid";
    case VEXKD_TOO_LARGE:
      return "an index would not fit in 32 bits or a buffer not in the address space";
    case VEXKD_MISALIGNED:
      return "a pointer is not aligned to its element, or a packed map not to 16 bytes";
    case VEXKD_OVERLAP:
      return "an output overlaps another buffer";
    case VEXKD_WORKSPACE_TOO_SMALL:
      return "the workspace is smaller than its query says";
    case VEXKD_OUT_OF_MEMORY:
      return "out of memory";
    case VEXKD_UNSUPPORTED:
      return "the library was built without CUDA";
    case VEXKD_CUDA_ERROR:
      return "CUDA refused a call; vexkd_last_cuda_error tells which error";
    default:
      return "unknown status";
  }
}

const char* vexkd_version(void) { return VEXKD_VERSION; }

const char* vexkd_build_info(void) {
  return "VeXKD " VEXKD_VERSION ", compiler " VEXKD_COMPILER ", CUDA " VEXKD_CUDA_VERSION ", " VEXKD_TENSORRT_BUILD;
}

const char* vexkd_cuda_architectures(void) { return VEXKD_CUDA_CODE; }

size_t vexkd_struct_size(const char* name) {
  if (name == nullptr) return 0;
  for (const vexkd::Sized& entry : vexkd::kStructs) {
    if (std::strcmp(entry.name, name) == 0) return entry.size;
  }
  return 0;
}

int32_t vexkd_last_cuda_error(const char** name) {
  if (name != nullptr) *name = vexkd::t_cuda_error_name;
  return vexkd::t_cuda_error;
}

int32_t vexkd_has_cuda(void) {
#ifdef VEXKD_WITH_CUDA
  return 1;
#else
  return 0;
#endif
}
