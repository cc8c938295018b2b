#include "tensorrt_plugins.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "failure.hpp"
#include "text.hpp"
#include "vexkd/perception.h"

namespace vexkd::runtime {
namespace {

constexpr const char* kPlugins[] = {"Voxelize", "PillarMax", "BevPool", "FrustumIndex"};
constexpr char kVersion[] = "1", kNamespace[] = "vexkd";

// Path of a file in memory with these bytes, which nobody can change any more. It stays open until the process ends:
// the loader knows libraries by their path, and would take the next file of this number for this one.
std::string file_in_memory(const std::vector<char>& bytes) {
  const int file = memfd_create(kPluginLibrary, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  bool written = file >= 0;
  for (size_t at = 0; written && at < bytes.size();) {
    const ssize_t count = write(file, bytes.data() + at, bytes.size() - at);
    if (count > 0) at += static_cast<size_t>(count);
    written = count > 0 || (count < 0 && errno == EINTR);
  }
  if (!written || fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
    const std::string reason = std::strerror(errno);
    if (file >= 0) close(file);
    fail(VEXKD_BACKEND_FAILED, text("no memory file for ", bytes.size(), " bytes of ", kPluginLibrary, ": ", reason));
  }
  return text("/proc/self/fd/", file);
}

bool has_plugin(nvinfer1::IPluginRegistry& registry, const char* name) {
  return registry.getCreator(name, kVersion, kNamespace) != nullptr;
}

}  // namespace

void load_tensorrt_plugins(const TensorrtLibrary& library, const Bundle& bundle) {
  static std::mutex mutex;
  // SHA-256 of the plugin library that each registry took, and the paths of those that were tried, which are kept.
  static auto& taken = *new std::map<const void*, std::string>;
  static auto& paths = *new std::map<std::string, std::string>;
  const std::lock_guard<std::mutex> lock(mutex);

  const std::string& digest = bundle.manifest.files.at(kPluginLibrary);
  nvinfer1::IPluginRegistry* const registry = library.plugin_registry();
  if (registry == nullptr) fail(VEXKD_BACKEND_FAILED, text(library.name, " has no plugin registry"));
  const auto found = taken.find(registry);
  if (found != taken.end() && found->second == digest) return;
  if (found != taken.end() || has_plugin(*registry, kPlugins[0])) {
    const std::string other =
        found == taken.end() ? "one that was not loaded through this runtime" : found->second.substr(0, 12);
    fail(VEXKD_INCOMPATIBLE,
         text(bundle.path, '/', kPluginLibrary,
              " differs from the plugin library that this process already uses (sha256 ", digest.substr(0, 12), " and ",
              other, "); use the two in separate processes, or export both bundles with one version of VeXKD"));
  }
  std::string& path = paths[digest];
  if (path.empty()) path = file_in_memory(bundle.files.at(kPluginLibrary));
  TensorrtMessages::instance().clear();
  bool complete = registry->loadLibrary(path.c_str()) != nullptr;
  for (const char* name : kPlugins) complete = complete && has_plugin(*registry, name);
  if (!complete) {
    fail(VEXKD_BACKEND_FAILED,
         text(library.name, " takes no plugins from ", bundle.path, '/', kPluginLibrary, ": ",
              TensorrtMessages::instance().heard(), "; export it again with: ", remake(bundle.manifest)));
  }
  taken[registry] = digest;
}

}  // namespace vexkd::runtime
