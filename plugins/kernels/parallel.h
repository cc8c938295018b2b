// Work split over a small persistent pool of threads, or over those that a host lends.
#ifndef VEXKD_KERNELS_PARALLEL_H
#define VEXKD_KERNELS_PARALLEL_H

#include <cstdint>

#include "vexkd/executor.h"

namespace vexkd {

// Threads for a request as the C ABI takes it: 0 or less means all available ones, or those of the executor.
int32_t resolve_threads(int32_t requested);

// While it lives, work of this thread runs on an executor of its own, whatever vexkd_set_executor says.
class ExecutorScope {
 public:
  explicit ExecutorScope(const vexkd_executor& executor);
  ~ExecutorScope();
  ExecutorScope(const ExecutorScope&) = delete;
  ExecutorScope& operator=(const ExecutorScope&) = delete;

 private:
  const vexkd_executor* previous_;
};

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
