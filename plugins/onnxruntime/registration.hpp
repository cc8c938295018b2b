// What the library exports to ONNX Runtime.
#pragma once

#include "ort_api.h"
#include "vexkd/types.h"

/// Entry of a session's configuration (AddSessionConfigEntry): threads that the session runs an operator on, 1 to 64,
/// as given to SetIntraOpNumThreads, which a library cannot read. Work is cut for so many; it runs on ONNX Runtime's
/// threads and gives the same bits whatever is said here. Without it, or with 0, as many as this process may use.
#define VEXKD_THREADS_ENTRY "vexkd.threads"

/// Add our operators (domain "vexkd", version 1) to the options of a session; they then run instead of the function
/// bodies that the model carries. For the CPU provider, and for the CUDA provider if the library was built with CUDA.
/// Null for success, else a status that the caller releases. The library must stay loaded; it is never unloaded anyway.
extern "C" VEXKD_API vexkd::ort::Status* RegisterCustomOps(vexkd::ort::SessionOptions* options,
                                                           const vexkd::ort::ApiBase* base);
