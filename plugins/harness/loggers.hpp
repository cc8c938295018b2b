// Loggers of both generations of TensorRT, under the names by which a plugin library tells them apart.
#pragma once

#include <string>

#include "plugin_abi.h"

namespace nvinfer1 {

struct ILogger {
  virtual void log(int32_t severity, char const* message) noexcept = 0;
  virtual ~ILogger() = default;
};

struct ILoggerFinder {
  virtual ILogger* findLogger() = 0;
  virtual ~ILoggerFinder() = default;
};

namespace v_1_0 {

struct ILogger : vexkd::abi::IVersionedInterface {
  vexkd::abi::InterfaceInfo getInterfaceInfo() const noexcept override { return {"ILogger", 1, 0}; }
  virtual void log(int32_t severity, char const* message) noexcept = 0;
};

struct ILoggerFinder : vexkd::abi::IVersionedInterface {
  vexkd::abi::InterfaceInfo getInterfaceInfo() const noexcept override { return {"ILoggerFinder", 1, 0}; }
  virtual ILogger* findLogger() = 0;
};

}  // namespace v_1_0
}  // namespace nvinfer1

namespace harness {

/// A finder of base `Finder` whose logger of base `Logger` keeps what it hears.
template <class Finder, class Logger>
struct Recorder : Finder {
  struct Memory : Logger {
    std::string text;
    void log(int32_t severity, char const* message) noexcept override {
      text += std::to_string(severity) + ' ' + message + '\n';
    }
  };
  Memory memory;
  Logger* findLogger() override { return &memory; }
};

using PlainRecorder = Recorder<nvinfer1::ILoggerFinder, nvinfer1::ILogger>;
using VersionedRecorder = Recorder<nvinfer1::v_1_0::ILoggerFinder, nvinfer1::v_1_0::ILogger>;

}  // namespace harness
