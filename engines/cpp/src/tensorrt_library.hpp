// TensorRT's library, opened at run time: no build of VeXKD is linked to it.
#pragma once

#include <NvInferRuntime.h>

#include <string>

namespace vexkd::runtime {

// What TensorRT logs as an error in this thread. One logger serves the process: TensorRT keeps the first it is given
// for all that has no logger of its own, the plugin registry among them.
class TensorrtMessages final : public nvinfer1::ILogger {
 public:
  static TensorrtMessages& instance();

  void log(Severity severity, const char* message) noexcept override;
  // Forget what was heard, before a call whose failure is to be explained.
  void clear() noexcept;
  // What was heard since, oldest first, on one line.
  std::string heard() const;
};

struct TensorrtLibrary {
  std::string path;
  std::string flavour;  // "tensorrt" or "tensorrt_rtx", as the manifest has it
  std::string version;  // "1.7.1.116"
  std::string name;     // "TensorRT-RTX 1.7.1.116"
  void* (*create_runtime)(void* logger, int32_t version) noexcept;
  nvinfer1::IPluginRegistry* (*plugin_registry)() noexcept;
};

// By what name the loader knows a flavour's library.
std::string tensorrt_library_name(const std::string& flavour);

// Open a library by path, or by a name that the loader finds. Nothing of it has been used but its version.
// Fails with NO_BACKEND where there is none, INCOMPATIBLE if its classes are not those of the headers of this build.
TensorrtLibrary open_tensorrt_library(const std::string& path);

}  // namespace vexkd::runtime
