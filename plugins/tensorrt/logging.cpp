#include "logging.hpp"

#include <cxxabi.h>
#include <dlfcn.h>

#include <atomic>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <typeinfo>

#include "plugin_abi.h"

namespace vexkd {

// Loggers are the one part of the interface that changed: up to TensorRT 10 they are plain classes, from 11 on (and in
// TensorRT-RTX) they are versioned interfaces, so `log` and `findLogger` sit in other slots. The library that loads us
// need not be the one whose headers we were compiled against; both layouts are declared here for that reason.
// Not in the anonymous namespace: there the compiler may conclude that nobody implements them.
enum class Severity : int32_t { kError = 1 };

struct PlainLogger {
  virtual void log(Severity severity, char const* message) noexcept = 0;
  virtual ~PlainLogger() = default;
};

struct PlainFinder {
  virtual PlainLogger* findLogger() = 0;
  virtual ~PlainFinder() = default;
};

struct VersionedLogger : abi::IVersionedInterface {
  virtual void log(Severity severity, char const* message) noexcept = 0;
};

struct VersionedFinder : abi::IVersionedInterface {
  virtual VersionedLogger* findLogger() = 0;
};

namespace {

enum class Layout { kUnknown, kPlain, kVersioned };

// The name of the finder's base class tells the layout: nvinfer1::ILoggerFinder or nvinfer1::v_1_0::ILoggerFinder.
Layout layout_of(void* finder) noexcept {
  auto const* vtable = *static_cast<std::type_info const* const**>(finder);
  std::type_info const* type = vtable[-1];
  while (type != nullptr) {
    std::string_view const name = type->name();
    if (name == "N8nvinfer113ILoggerFinderE") return Layout::kPlain;
    if (name == "N8nvinfer15v_1_013ILoggerFinderE") return Layout::kVersioned;
    auto const* derived = dynamic_cast<__cxxabiv1::__si_class_type_info const*>(type);
    type = derived != nullptr ? derived->__base_type : nullptr;
  }
  return Layout::kUnknown;
}

std::atomic<void*> logger_finder{nullptr};

bool log_to_tensorrt(char const* message) {
  void* const finder = logger_finder.load(std::memory_order_acquire);
  if (finder == nullptr) return false;
  switch (layout_of(finder)) {
    case Layout::kPlain:
      if (auto* logger = static_cast<PlainFinder*>(finder)->findLogger()) {
        logger->log(Severity::kError, message);
        return true;
      }
      return false;
    case Layout::kVersioned:
      if (auto* logger = static_cast<VersionedFinder*>(finder)->findLogger()) {
        logger->log(Severity::kError, message);
        return true;
      }
      return false;
    case Layout::kUnknown:
      return false;
  }
  return false;
}

}  // namespace

void set_logger_finder(void* finder) noexcept { logger_finder.store(finder, std::memory_order_release); }

bool is_tensorrt_rtx() noexcept {
  void* const finder = logger_finder.load(std::memory_order_acquire);
  Dl_info library{};
  if (finder == nullptr || dladdr(*static_cast<void**>(finder), &library) == 0) return false;  // where its vtable lies
  return std::string_view(library.dli_fname).find("tensorrt_rtx") != std::string_view::npos;
}

void log_error(char const* format, ...) noexcept {
  char message[512] = "vexkd: ";
  constexpr size_t kPrefix = sizeof("vexkd: ") - 1;
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(message + kPrefix, sizeof(message) - kPrefix, format, arguments);
  va_end(arguments);
  bool logged = false;
  try {
    logged = log_to_tensorrt(message);
  } catch (...) {  // findLogger is the one function of the interface that may throw
  }
  if (!logged) std::fprintf(stderr, "%s\n", message);
}

}  // namespace vexkd
