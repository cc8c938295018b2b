#include "onnxruntime_library.hpp"

#include <dlfcn.h>
#include <glob.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "failure.hpp"
#include "messages.hpp"
#include "text.hpp"

namespace vexkd::runtime {
namespace {

constexpr char kVariable[] = "VEXKD_ONNXRUNTIME";
constexpr char kPattern[] = "libonnxruntime.so*";
constexpr char kWheel[] = "/onnxruntime/capi/";

std::vector<std::string> matches(const std::string& pattern) {
  std::vector<std::string> found;
  glob_t result{};
  if (glob(pattern.c_str(), 0, nullptr, &result) == 0) {
    for (size_t i = 0; i < result.gl_pathc; ++i) found.emplace_back(result.gl_pathv[i]);
  }
  globfree(&result);
  return found;
}

bool is_folder(const std::string& path) {
  struct stat status{};
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// A file as it is; of a folder the newest library in it.
std::string library_at(const std::string& path) {
  if (!is_folder(path)) return access(path.c_str(), R_OK) == 0 ? path : "";
  const std::vector<std::string> found = matches(path + "/" + kPattern);
  return found.empty() ? "" : found.back();
}

std::string loaded_library() {
  std::string found;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* into) {
        const std::string path = info->dlpi_name;
        const size_t slash = path.rfind('/');
        const std::string file = path.substr(slash == std::string::npos ? 0 : slash + 1);
        if (file.rfind("libonnxruntime.so", 0) != 0) return 0;
        *static_cast<std::string*>(into) = path;
        return 1;
      },
      &found);
  return found;
}

std::string library_of_the_loader() {
  for (const char* name : {"libonnxruntime.so.1", "libonnxruntime.so"}) {
    void* const library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) continue;
    dlclose(library);
    return name;
  }
  return "";
}

// The site-packages folder that this library is installed in (…/vexkd/native/lib/), and those of VIRTUAL_ENV.
std::string library_of_python() {
  std::vector<std::string> folders;
  Dl_info own{};
  if (dladdr(reinterpret_cast<const void*>(&vexkd_find_onnxruntime), &own) != 0 && own.dli_fname != nullptr) {
    const std::string path = own.dli_fname;
    const size_t end = path.rfind("/vexkd/native/");
    if (end != std::string::npos) folders.push_back(path.substr(0, end));
  }
  const char* const environment = std::getenv("VIRTUAL_ENV");
  if (environment != nullptr) {
    for (std::string& folder : matches(std::string(environment) + "/lib/python3*/site-packages")) {
      folders.push_back(std::move(folder));
    }
  }
  for (const std::string& folder : folders) {
    const std::vector<std::string> found = matches(folder + kWheel + kPattern);
    if (!found.empty()) return found.back();
  }
  return "";
}

std::unique_ptr<OnnxRuntime> open_library(const std::string& path) {
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    fail(VEXKD_NO_BACKEND, text(path, " cannot be loaded: ", dlerror(), "; give another libonnxruntime.so"));
  }
  using GetBase = const ort::ApiBase* (*)();
  const auto get = reinterpret_cast<GetBase>(dlsym(library, "OrtGetApiBase"));
  if (get == nullptr) fail(VEXKD_NO_BACKEND, text(path, " is no ONNX Runtime: it has no OrtGetApiBase"));
  auto loaded = std::make_unique<OnnxRuntime>();
  loaded->path = path;
  loaded->base = get();
  loaded->version = loaded->base->version();
  loaded->api = loaded->base->get_api(ort::kApiVersion);
  if (loaded->api == nullptr) {
    fail(VEXKD_NO_BACKEND, text(path, " is ONNX Runtime ", loaded->version, ", needed is ", ort::kOldestVersion,
                                " or newer; install it with: pip install --upgrade onnxruntime"));
  }
  loaded->check(loaded->api->call(ort::slot::CreateEnv, ort::LoggingLevel::kError, "vexkd", &loaded->env),
                VEXKD_NO_BACKEND);
  return loaded;
}

}  // namespace

std::string find_onnxruntime(const char* given) {
  if (given != nullptr) {
    const std::string found = library_at(given);
    if (found.empty()) fail(VEXKD_NO_BACKEND, text("there is no libonnxruntime.so at ", given));
    return found;
  }
  const char* const variable = std::getenv(kVariable);
  if (variable != nullptr && *variable != '\0') {
    const std::string found = library_at(variable);
    if (found.empty()) fail(VEXKD_NO_BACKEND, text(kVariable, "=", variable, " holds no libonnxruntime.so"));
    return found;
  }
  for (const auto& look : {loaded_library, library_of_the_loader, library_of_python}) {
    std::string found = look();
    if (!found.empty()) return found;
  }
  fail(VEXKD_NO_BACKEND,
       text("libonnxruntime.so was not found; set ", kVariable, " to the path that ",
            "`python -m vexkd onnxruntime-path` prints, or install it with: pip install onnxruntime"));
}

void OnnxRuntime::check(ort::Status* status, vexkd_status as) const {
  if (status == nullptr) return;
  const std::string message = text("ONNX Runtime ", version, ": ", api->call(ort::slot::GetErrorMessage, status));
  api->call(ort::slot::ReleaseStatus, status);
  fail(as, message);
}

bool OnnxRuntime::has_provider(const char* name) const {
  char** providers = nullptr;
  int count = 0;
  check(api->call(ort::slot::GetAvailableProviders, &providers, &count));
  const bool found =
      std::any_of(providers, providers + count, [&](const char* p) { return std::strcmp(p, name) == 0; });
  check(api->call(ort::slot::ReleaseAvailableProviders, providers, count));
  return found;
}

bool onnxruntime_can_use_gpu(const vexkd_perception_options& options) {
  if (access("/proc/driver/nvidia/version", R_OK) != 0) return false;
  try {
    return load_onnxruntime(find_onnxruntime(options.onnxruntime)).has_provider(ort::kCudaProvider);
  } catch (const Failure&) {
    return false;  // opening it for good tells why
  }
}

const OnnxRuntime& load_onnxruntime(const std::string& path) {
  static std::mutex mutex;
  // Never destroyed: sessions may outlive static destruction.
  static auto& opened = *new std::map<std::string, std::unique_ptr<OnnxRuntime>>;
  const std::lock_guard<std::mutex> lock(mutex);
  std::unique_ptr<OnnxRuntime>& entry = opened[path];
  if (!entry) entry = open_library(path);
  return *entry;
}

}  // namespace vexkd::runtime

const char* vexkd_find_onnxruntime(void) {
  thread_local std::string path;
  const vexkd_status status = vexkd::runtime::guarded([&] { path = vexkd::runtime::find_onnxruntime(nullptr); });
  return status == VEXKD_OK ? path.c_str() : nullptr;
}
