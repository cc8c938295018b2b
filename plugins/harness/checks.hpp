#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "host.hpp"

namespace harness {

/// What the checks work on.
struct Libraries {
  PluginLibrary plugins;
  void* kernels;  // dlopen handle of the C ABI
};

using Check = std::pair<std::string, std::function<void(Libraries const&)>>;

std::vector<Check> host_checks();
std::vector<Check> device_checks();

}  // namespace harness
