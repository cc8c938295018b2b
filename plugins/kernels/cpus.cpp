#include "cpus.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <thread>

namespace vexkd {
namespace {

constexpr int kPath = 4096;

bool read_text(const char* path, char* text, int size) {
  std::FILE* const file = std::fopen(path, "re");
  if (file == nullptr) return false;
  const size_t length = std::fread(text, 1, static_cast<size_t>(size - 1), file);
  std::fclose(file);
  text[length] = '\0';
  return length > 0;
}

// Version 1 has the quota in a file of its own, -1 for none.
std::optional<int32_t> quota_of_version_1() {
  char quota[32], period[32], joined[80];
  if (!read_text("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota, sizeof(quota)) ||
      !read_text("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period, sizeof(period))) {
    return std::nullopt;
  }
  std::snprintf(joined, sizeof(joined), "%s %s", quota, period);
  return quota_of(joined);
}

// The smallest quota of this process's cgroup and those around it; a container sees its own as the root.
std::optional<int32_t> cgroup_quota() {
  char lines[kPath];
  if (!read_text("/proc/self/cgroup", lines, sizeof(lines))) return std::nullopt;
  char* group = std::strstr(lines, "0::/");
  if (group == nullptr || (group != lines && group[-1] != '\n')) return quota_of_version_1();
  group += 3;
  group[std::strcspn(group, "\n")] = '\0';
  std::optional<int32_t> least;
  for (;;) {
    char path[kPath + 32], text[64];
    std::snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max", group);
    if (read_text(path, text, sizeof(text))) {
      const std::optional<int32_t> quota = quota_of(text);
      if (quota) least = least ? std::min(*least, *quota) : quota;
    }
    char* const last = std::strrchr(group, '/');
    if (last == nullptr) return least;
    *last = '\0';
  }
}

cpu_set_t cpus_of_caller() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof(set), &set);
  return set;
}

const cpu_set_t g_allowed = cpus_of_caller();

}  // namespace

const cpu_set_t& allowed_cpus() { return g_allowed; }

std::optional<int32_t> quota_of(const char* cpu_max) {
  long long quota = 0, period = 0;
  if (std::sscanf(cpu_max, "%lld %lld", &quota, &period) != 2 || quota <= 0 || period <= 0) return std::nullopt;
  return static_cast<int32_t>(std::clamp<long long>((quota - 1) / period + 1, 1, INT32_MAX));
}

int32_t available_threads() {
  static const int32_t threads = [] {
    int32_t count = CPU_COUNT(&g_allowed);
    // More CPUs than a cpu_set_t holds.
    if (count == 0) count = static_cast<int32_t>(std::thread::hardware_concurrency());
    const std::optional<int32_t> quota = cgroup_quota();
    return std::max(1, quota ? std::min(count, *quota) : count);
  }();
  return threads;
}

}  // namespace vexkd
