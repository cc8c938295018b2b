#include "vexkd/types.h"

int32_t vexkd_abi_version(void) { return VEXKD_ABI_VERSION; }

const char* vexkd_status_string(vexkd_status status) {
  switch (status) {
    case VEXKD_OK:
      return "success";
    case VEXKD_NULL_POINTER:
      return "a required pointer is null";
    case VEXKD_INVALID_ARGUMENT:
      return "a size, grid or dtype is invalid";
    case VEXKD_TOO_LARGE:
      return "an index would not fit in 32 bits or a buffer not in the address space";
    case VEXKD_MISALIGNED:
      return "a pointer is not aligned to its element or the workspace not to its required boundary";
    case VEXKD_OVERLAP:
      return "an output overlaps another buffer";
    case VEXKD_WORKSPACE_TOO_SMALL:
      return "the workspace is smaller than its query says";
    case VEXKD_OUT_OF_MEMORY:
      return "out of memory";
    case VEXKD_UNSUPPORTED:
      return "the library was built without CUDA";
    case VEXKD_CUDA_ERROR:
      return "CUDA refused a launch";
    default:
      return "unknown status";
  }
}

int32_t vexkd_has_cuda(void) {
#ifdef VEXKD_WITH_CUDA
  return 1;
#else
  return 0;
#endif
}
