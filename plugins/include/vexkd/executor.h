#ifndef VEXKD_EXECUTOR_H
#define VEXKD_EXECUTOR_H

#include "vexkd/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Threads that a host lends to the *_cpu entry points instead of the library's own pool. */
typedef struct vexkd_executor {
  size_t struct_size; /**< sizeof(vexkd_executor) */
  int32_t threads;    /**< tasks that may run at a time, >= 1; what `threads` 0 means while this executor is set */
  /** Call task(context, i) once for every i in 0 .. tasks - 1, in any order and on any threads, and return when all
   * calls have returned. Called by several threads at once where the entry points are. Must not throw. */
  void (*run)(void* user, void (*task)(void* context, int64_t index), void* context, int64_t tasks);
  void* user; /**< handed to `run` */
} vexkd_executor;

/** Run all later work on `executor`, whose content is copied; null brings back the library's own pool. Results do not
 * depend on it. Call it before the entry points are used: a call that runs meanwhile may use either.
 *
 * The library's own pool starts its threads on first use. They run with the default scheduling class, all signals
 * blocked, on the CPUs that the process might use when the library was loaded, whatever the caller's own are; as many
 * as those CPUs or the cgroup's CPU quota allow.
 *
 * VEXKD_INVALID_ARGUMENT for another struct_size, threads < 1 or a null `run`. */
VEXKD_API vexkd_status vexkd_set_executor(const vexkd_executor* executor);

#ifdef __cplusplus
}
#endif

#endif
