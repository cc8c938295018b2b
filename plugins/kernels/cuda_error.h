// The CUDA error behind a VEXKD_CUDA_ERROR, kept for vexkd_last_cuda_error.
#ifndef VEXKD_KERNELS_CUDA_ERROR_H
#define VEXKD_KERNELS_CUDA_ERROR_H

#include "vexkd/types.h"

namespace vexkd {

// Keep a cudaError_t and its name (static storage) as this thread's last; returns VEXKD_CUDA_ERROR.
vexkd_status record_cuda_error(int32_t code, const char* name);

}  // namespace vexkd

#endif
