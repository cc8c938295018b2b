// Work split over a small persistent pool of threads.
#ifndef VEXKD_KERNELS_PARALLEL_H
#define VEXKD_KERNELS_PARALLEL_H

#include <cstdint>

namespace vexkd {

// Cores this process may run on (its affinity mask), at least 1.
int32_t available_threads();

// Threads for a request as the C ABI takes it: 0 or less means all available ones.
int32_t resolve_threads(int32_t requested);

using TaskFunction = void (*)(const void* context, int64_t task);

void run_tasks(int32_t threads, int64_t tasks, TaskFunction function, const void* context) noexcept;

// Run body(task) for task in 0 .. tasks - 1 on up to `threads` threads, the caller's among them; returns when all are
// done. Tasks are handed out one by one, so their number, not `threads`, decides what each computes. `body` must not
// throw. While another thread's call has the pool, or after a failure to start threads, the caller does all the work.
template <typename Body>
void parallel_for(int32_t threads, int64_t tasks, const Body& body) noexcept {
  run_tasks(
      threads, tasks, [](const void* context, int64_t task) { (*static_cast<const Body*>(context))(task); }, &body);
}

}  // namespace vexkd

#endif
