#include "parallel.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <new>

#include "cpus.h"

namespace vexkd {
namespace {

constexpr int32_t kMaxThreads = 64;
// Spinning this often before sleeping bridges the gap between two phases of one kernel (some 10 microseconds).
constexpr int kSpins = 300;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// One job at a time: its owner opens it, workers that wake up while it is open enter and take tasks from a counter. The
// owner never waits for a worker that has not entered, so a busy machine delays nothing.
class Pool {
 public:
  // False when another thread has the pool.
  bool run(int32_t threads, int64_t tasks, TaskFunction function, const void* context) {
    std::unique_lock<std::mutex> owner(owner_, std::try_to_lock);
    if (!owner.owns_lock()) return false;
    grow(threads - 1);
    function_ = function;
    context_ = context;
    tasks_ = tasks;
    next_.store(0, std::memory_order_relaxed);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      places_ = threads - 1;
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    work();
    close();
    return true;
  }

 private:
  void grow(int32_t wanted) {
    if (started_ >= wanted) return;
    // Signals belong to the host's own threads, and what one of them is (pinned, real-time) shall not be all of ours.
    sigset_t all, previous;
    sigfillset(&all);
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
    pthread_attr_setschedpolicy(&attributes, SCHED_OTHER);
    pthread_attr_setaffinity_np(&attributes, sizeof(cpu_set_t), &allowed_cpus());
    pthread_sigmask(SIG_SETMASK, &all, &previous);
    seen_by_new_ = generation_.load(std::memory_order_relaxed);
    for (pthread_t thread; started_ < wanted; ++started_) {
      // Where the machine refuses more threads, go on with those that run.
      if (pthread_create(&thread, &attributes, serve, this) != 0) break;
    }
    pthread_sigmask(SIG_SETMASK, &previous, nullptr);
    pthread_attr_destroy(&attributes);
  }

  void work() {
    for (;;) {
      const int64_t task = next_.fetch_add(1, std::memory_order_relaxed);
      if (task >= tasks_) return;
      function_(context_, task);
    }
  }

  static void* serve(void* pool) {
    static_cast<Pool*>(pool)->serve();
    return nullptr;
  }

  void serve() {
    uint64_t seen = seen_by_new_.load(std::memory_order_relaxed);
    for (;;) {
      for (int spin = 0; spin < kSpins && generation_.load(std::memory_order_acquire) == seen; ++spin) relax();
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return generation_.load(std::memory_order_relaxed) != seen; });
        seen = generation_.load(std::memory_order_relaxed);
        if (places_ == 0) continue;
        --places_;
        active_.fetch_add(1, std::memory_order_relaxed);
      }
      work();
      std::lock_guard<std::mutex> lock(mutex_);
      if (active_.fetch_sub(1, std::memory_order_release) == 1) done_.notify_one();
    }
  }

  // No worker enters any more; wait for those inside.
  void close() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      places_ = 0;
    }
    for (int spin = 0; spin < kSpins && active_.load(std::memory_order_acquire) != 0; ++spin) relax();
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [&] { return active_.load(std::memory_order_relaxed) == 0; });
  }

  std::mutex owner_;  // held by the caller whose job runs
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<uint64_t> seen_by_new_{0};  // generation when the newest workers were started
  std::atomic<int64_t> next_{0};
  std::atomic<int32_t> active_{0};
  int32_t places_ = 0;  // workers that may still enter
  int32_t started_ = 0;
  TaskFunction function_ = nullptr;
  const void* context_ = nullptr;
  int64_t tasks_ = 0;
};

// Never destroyed: its threads may outlive static destruction. A forked child has none of them, so it starts afresh.
std::atomic<Pool*> g_pool{nullptr};

void forget_pool() { g_pool.store(nullptr, std::memory_order_relaxed); }

const bool g_fork_safe = pthread_atfork(nullptr, nullptr, forget_pool) == 0;

Pool* pool() {
  Pool* current = g_pool.load(std::memory_order_acquire);
  if (current != nullptr) return current;
  Pool* made = g_fork_safe ? new (std::nothrow) Pool : nullptr;
  if (made == nullptr) return nullptr;
  if (g_pool.compare_exchange_strong(current, made, std::memory_order_acq_rel)) return made;
  delete made;
  return current;
}

// What a host lends: for the whole process, never freed because a call may still use it; and for this thread.
std::atomic<const vexkd_executor*> g_executor{nullptr};
thread_local const vexkd_executor* t_executor = nullptr;

const vexkd_executor* executor() {
  return t_executor != nullptr ? t_executor : g_executor.load(std::memory_order_acquire);
}

// What an executor hands back to us, task by task.
struct Job {
  TaskFunction function;
  const void* context;
};

}  // namespace

ExecutorScope::ExecutorScope(const vexkd_executor& executor) : previous_(t_executor) { t_executor = &executor; }

ExecutorScope::~ExecutorScope() { t_executor = previous_; }

int32_t resolve_threads(int32_t requested) {
  const vexkd_executor* const lent = executor();
  const int32_t all = lent != nullptr ? lent->threads : available_threads();
  return std::min(requested > 0 ? requested : all, kMaxThreads);
}

void run_tasks(int32_t threads, int64_t tasks, TaskFunction function, const void* context) noexcept {
  threads = static_cast<int32_t>(std::min<int64_t>(threads, tasks));
  const vexkd_executor* const lent = executor();
  if (threads > 1 && lent != nullptr) {
    Job job{function, context};
    lent->run(
        lent->user,
        [](void* given, int64_t task) {
          const Job& job = *static_cast<const Job*>(given);
          job.function(job.context, task);
        },
        &job, tasks);
    return;
  }
  if (threads > 1) {
    Pool* shared = pool();
    if (shared != nullptr && shared->run(threads, tasks, function, context)) return;
  }
  for (int64_t task = 0; task < tasks; ++task) function(context, task);
}

}  // namespace vexkd

vexkd_status vexkd_set_executor(const vexkd_executor* executor) {
  const vexkd_executor* copy = nullptr;
  if (executor != nullptr) {
    if (executor->struct_size != sizeof(vexkd_executor) || executor->threads < 1 || executor->run == nullptr) {
      return VEXKD_INVALID_ARGUMENT;
    }
    copy = new (std::nothrow) vexkd_executor(*executor);
    if (copy == nullptr) return VEXKD_OUT_OF_MEMORY;
  }
  vexkd::g_executor.store(copy, std::memory_order_release);
  return VEXKD_OK;
}
