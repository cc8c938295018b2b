// The plugin interface the sources compile against: `vexkd::trt` is TensorRT's own headers where the build found them
// (VEXKD_TENSORRT_HEADERS), else our declaration of the same binary interface.
#pragma once

#ifdef VEXKD_TENSORRT_HEADERS
#include <NvInferRuntime.h>
namespace vexkd {
namespace trt = nvinfer1;
}
#else
#include "plugin_abi.h"
namespace vexkd {
namespace trt = abi;
}
#endif

struct CUstream_st;

namespace vexkd {
using CudaStream = CUstream_st*;
}
