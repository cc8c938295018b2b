#include "tensorrt_library.hpp"

#include <dlfcn.h>

#include <memory>

#include "failure.hpp"
#include "text.hpp"
#include "vexkd/perception.h"

namespace vexkd::runtime {
namespace {

// TensorRT numbers its flavours apart: the full one is at 10 and on, the one for RTX GPUs at 1.
constexpr bool is_rtx(int32_t major) { return major < 10; }

// Whether classes of a library have the layout of this build's headers. The runtime's classes are fixed within one
// generation of the full TensorRT only; one for RTX GPUs has the layout of some generation, which it does not tell.
constexpr bool fits_headers(int32_t major, int32_t minor) {
  if (!is_rtx(major) || is_rtx(NV_TENSORRT_MAJOR)) {
    return major == NV_TENSORRT_MAJOR && (!is_rtx(major) || minor == NV_TENSORRT_MINOR);
  }
  return NV_TENSORRT_MAJOR == 11 && major == 1 && minor == 7;  // found by trial
}

constexpr char kSeparator[] = "; ";
constexpr size_t kMostHeard = 2000;
thread_local std::string heard_here;

struct Close {
  void operator()(void* library) const { dlclose(library); }
};

template <typename Function>
Function symbol(void* library, const char* name, const std::string& path) {
  void* const found = dlsym(library, name);
  if (found == nullptr) fail(VEXKD_NO_BACKEND, text(path, " is no TensorRT: it has no ", name));
  return reinterpret_cast<Function>(found);
}

}  // namespace

TensorrtMessages& TensorrtMessages::instance() {
  static auto& messages = *new TensorrtMessages;  // never destroyed, as TensorRT may speak until the process ends
  return messages;
}

void TensorrtMessages::log(Severity severity, const char* message) noexcept {
  if (severity > Severity::kERROR || message == nullptr || heard_here.size() > kMostHeard) return;
  try {
    if (!heard_here.empty()) heard_here += kSeparator;
    for (const char* c = message; *c != '\0'; ++c) heard_here += *c == '\n' ? ' ' : *c;
  } catch (...) {  // without memory the message is lost
  }
}

void TensorrtMessages::clear() noexcept { heard_here.clear(); }

std::string TensorrtMessages::heard() const { return heard_here.empty() ? "no reason given" : heard_here; }

std::string tensorrt_library_name(const std::string& flavour) {
  return flavour == "tensorrt_rtx" ? "libtensorrt_rtx.so.1" : text("libnvinfer.so.", NV_TENSORRT_MAJOR);
}

TensorrtLibrary open_tensorrt_library(const std::string& path) {
  std::unique_ptr<void, Close> library(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL));
  if (!library) fail(VEXKD_NO_BACKEND, text("TensorRT cannot be loaded: ", dlerror()));
  using Number = int32_t (*)();
  const int32_t number = symbol<Number>(library.get(), "getInferLibVersion", path)();
  const int32_t major = number / 10000, minor = number / 100 % 100, patch = number % 100;

  TensorrtLibrary opened{};
  opened.path = path;
  opened.flavour = is_rtx(major) ? "tensorrt_rtx" : "tensorrt";
  opened.version = text(major, '.', minor, '.', patch);
  const auto build = reinterpret_cast<Number>(dlsym(library.get(), "getInferLibBuildVersion"));
  if (build != nullptr) opened.version += text('.', build());
  opened.name = text(is_rtx(major) ? "TensorRT-RTX " : "TensorRT ", opened.version);
  if (!fits_headers(major, minor)) {
    fail(VEXKD_INCOMPATIBLE,
         text(path, " is ", opened.name, ", this libvexkd was built with headers of TensorRT ", NV_TENSORRT_MAJOR, '.',
              NV_TENSORRT_MINOR, "; give a library of that version, or build VeXKD with TENSORRT_ROOT at the headers ",
              "of this one"));
  }
  opened.create_runtime = symbol<decltype(opened.create_runtime)>(library.get(), "createInferRuntime_INTERNAL", path);
  opened.plugin_registry = symbol<decltype(opened.plugin_registry)>(library.get(), "getPluginRegistry", path);
  library.release();  // plugins are registered with it: it stays until the process ends
  return opened;
}

}  // namespace vexkd::runtime
