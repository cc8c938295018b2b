#include "parallel.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <thread>

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
    // Signals belong to the host's own threads.
    sigset_t all, previous;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous);
    try {
      for (; started_ < wanted; ++started_) {
        std::thread([this, seen = generation_.load(std::memory_order_relaxed)] { serve(seen); }).detach();
      }
    } catch (const std::exception&) {
      // The machine refuses more threads: go on with those that run.
    }
    pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  }

  void work() {
    for (;;) {
      const int64_t task = next_.fetch_add(1, std::memory_order_relaxed);
      if (task >= tasks_) return;
      function_(context_, task);
    }
  }

  void serve(uint64_t seen) {
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

}  // namespace

int32_t available_threads() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int32_t>(std::thread::hardware_concurrency()));
}

int32_t resolve_threads(int32_t requested) {
  return std::min(requested > 0 ? requested : available_threads(), kMaxThreads);
}

void run_tasks(int32_t threads, int64_t tasks, TaskFunction function, const void* context) noexcept {
  threads = static_cast<int32_t>(std::min<int64_t>(threads, tasks));
  if (threads > 1) {
    Pool* shared = pool();
    if (shared != nullptr && shared->run(threads, tasks, function, context)) return;
  }
  for (int64_t task = 0; task < tasks; ++task) function(context, task);
}

}  // namespace vexkd
