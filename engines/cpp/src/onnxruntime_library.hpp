// libonnxruntime.so: found, opened once, and asked for its API.
#pragma once

#include <string>

#include "ort_api.h"
#include "vexkd/perception.h"

namespace vexkd::runtime {

// Path of the library to open: the options', else as vexkd_find_onnxruntime says. Fails with NO_BACKEND.
std::string find_onnxruntime(const char* given);

struct OnnxRuntime {
  std::string path, version;
  const ort::ApiBase* base = nullptr;
  const ort::Api* api = nullptr;
  ort::Env* env = nullptr;

  // Fail with what a call reported, if it did.
  void check(ort::Status* status, vexkd_status as = VEXKD_BACKEND_FAILED) const;
  bool has_provider(const char* name) const;
};

// Opened once per path and never closed: its threads and ours end with the process. Fails with NO_BACKEND.
const OnnxRuntime& load_onnxruntime(const std::string& path);

// Whether this machine has an NVIDIA driver and this ONNX Runtime the CUDA provider; never fails.
bool onnxruntime_can_use_gpu(const vexkd_perception_options& options);

}  // namespace vexkd::runtime
