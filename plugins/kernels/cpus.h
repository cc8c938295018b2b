// The CPUs that this process may use, as they were when the library was loaded.
#ifndef VEXKD_KERNELS_CPUS_H
#define VEXKD_KERNELS_CPUS_H

#include <sched.h>

#include <cstdint>
#include <optional>

namespace vexkd {

const cpu_set_t& allowed_cpus();

// Threads that can run at a time: the allowed CPUs, or the cgroup's quota of CPU time where that is less. At least 1.
int32_t available_threads();

// CPUs' worth of time that a cgroup grants, rounded up, from the text of cgroup v2's cpu.max ("200000 100000"); nothing
// where it sets no limit or is no such text.
std::optional<int32_t> quota_of(const char* cpu_max);

}  // namespace vexkd

#endif
