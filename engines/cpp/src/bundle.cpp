#include "bundle.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <new>
#include <system_error>

#include "failure.hpp"
#include "sha256.hpp"
#include "vexkd/perception.h"

namespace vexkd::runtime {
namespace {

constexpr int64_t kMaxFileBytes = INT32_MAX;  // what ONNX's format allows for a model
constexpr std::string_view kSuffix = ".vexkd";
constexpr size_t kDigits = 64;

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

[[noreturn]] void fail_to_read(const std::string& file, int error) {
  const std::string reason = std::generic_category().message(error);
  fail(VEXKD_NO_BUNDLE, file + " cannot be read (" + reason + "); check the path and its rights");
}

// Absolute path without links, "" if nothing is there.
std::string resolve(const std::string& path) {
  const std::unique_ptr<char, decltype(&free)> resolved(realpath(path.c_str(), nullptr), free);
  if (resolved != nullptr) return resolved.get();
  if (errno == ENOMEM) throw std::bad_alloc();
  if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) fail_to_read(path, errno);
  return "";
}

bool is_regular(const std::string& resolved) {
  struct stat status;
  return stat(resolved.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

// Content of a file that resolve() gave, with the size it has when it is opened: one that grows or shrinks meanwhile is
// a changed one to whoever hashes it. It may also have been replaced since: no link is followed and no pipe waited for.
std::vector<char> read_content(const std::string& resolved, int64_t most, const std::string& too_large) {
  const Descriptor file(open(resolved.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status;
  if (file.number() < 0 || fstat(file.number(), &status) != 0) fail_to_read(resolved, errno);
  if (!S_ISREG(status.st_mode)) fail_to_read(resolved, EINVAL);
  if (status.st_size > most) fail(VEXKD_DAMAGED, too_large);
  std::vector<char> content(static_cast<size_t>(status.st_size));
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t got = read(file.number(), content.data() + done, content.size() - done);
    if (got == 0) break;
    if (got > 0) {
      done += static_cast<size_t>(got);
    } else if (errno != EINTR) {
      fail_to_read(resolved, errno);
    }
  }
  content.resize(done);
  return content;
}

// A bundle's folder while it is read.
class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path), folder_(resolve(path)) {}

  const std::string& folder() const { return folder_; }

  Manifest manifest() const {
    const std::string file = path_ + "/" + kManifest, resolved = resolve(file), again = remake_unknown(path_);
    if (!is_regular(resolved)) {
      fail(VEXKD_NO_BUNDLE,
           path_ + " is no bundle: it has no " + kManifest + "; make one with: vexkd export RUN --out " + path_);
    }
    check_inside(resolved, file, again);
    const std::string too_large =
        file + " has more than " + std::to_string(kMaxManifestBytes) + " bytes, so it is no manifest; " + again;
    const std::vector<char> content = read_content(resolved, kMaxManifestBytes, too_large);
    const std::string_view text(content.data(), content.size());
    Manifest manifest = parse_manifest(text, path_);
    if (blank_digest(text, manifest.sha256) != manifest.sha256) {
      fail(VEXKD_DAMAGED, file + " was changed after it was written; " + mend(manifest));
    }
    return manifest;
  }

  std::vector<char> content(const std::string& name, const std::string& digest, const Manifest& manifest) const {
    const std::string file = path_ + "/" + name, resolved = resolve(file), again = mend(manifest);
    if (!is_regular(resolved)) fail(VEXKD_DAMAGED, file + " is missing from the bundle; " + again);
    check_inside(resolved, file, again);
    const std::string too_large =
        file + " was changed: it has more than " + std::to_string(kMaxFileBytes) + " bytes; " + again;
    std::vector<char> content = read_content(resolved, kMaxFileBytes, too_large);
    const std::string found = sha256(content.data(), content.size());
    if (found != digest) {
      fail(VEXKD_DAMAGED, file + " was changed: its sha256 begins " + found.substr(0, 12) + ", the manifest says " +
                              digest.substr(0, 12) + "; " + again);
    }
    return content;
  }

 private:
  void check_inside(const std::string& resolved, const std::string& file, const std::string& again) const {
    const std::string begin = folder_ == "/" ? "/" : folder_ + "/";
    if (resolved.compare(0, begin.size(), begin) != 0) {
      fail(VEXKD_DAMAGED, file + " is a link that leaves the bundle; " + again);
    }
  }

  // SHA-256 of the manifest with the digits of its own field as zeros.
  static std::string blank_digest(std::string_view text, const std::string& written) {
    const std::string label = "\"sha256\": \"", field = label + written + "\"";
    std::string blank(text);
    for (size_t at = 0; (at = blank.find(field, at)) != std::string::npos; at += field.size()) {
      blank.replace(at + label.size(), kDigits, kDigits, '0');
    }
    return sha256(blank.data(), blank.size());
  }

  std::string mend(const Manifest& manifest) const {
    return "export it again with: " + remake(manifest) + " --out " + path_;
  }

  std::string path_, folder_;
};

std::string without_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path.empty() ? "." : path;
}

std::string bundle_name(const std::string& folder) {
  std::string name = folder.substr(folder.rfind('/') + 1);
  const bool has_suffix =
      name.size() >= kSuffix.size() && name.compare(name.size() - kSuffix.size(), kSuffix.size(), kSuffix) == 0;
  return has_suffix ? name.substr(0, name.size() - kSuffix.size()) : name;
}

}  // namespace

Bundle read_bundle(const std::string& path) {
  Bundle bundle;
  bundle.path = without_slashes(path);
  const Reader reader(bundle.path);
  bundle.manifest = reader.manifest();
  bundle.name = bundle_name(reader.folder());
  for (const auto& [name, digest] : bundle.manifest.files) {
    bundle.files[name] = reader.content(name, digest, bundle.manifest);
  }
  return bundle;
}

}  // namespace vexkd::runtime
