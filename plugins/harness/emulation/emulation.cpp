#include "emulation.hpp"

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

namespace emulation {

Place place;

namespace {

constexpr size_t kStack = 256 * 1024;
constexpr unsigned kWarp = 32;

enum class Wait { kNone, kBlock, kWarp, kEnd };

// Made once by a context, then switched by jumps, which leave the signal mask alone and so need no system call.
struct Fibre {
  ucontext_t context;
  jmp_buf jump;
  std::unique_ptr<char[]> stack{new char[kStack]};
  bool started = false;
  Wait wait = Wait::kEnd;
  uint64_t value = 0;
};

std::vector<Fibre> fibres;
ucontext_t first_scheduler;
jmp_buf scheduler;
unsigned running = 0, block_size = 0;
std::mt19937 random_order(0);
std::function<void()> const* body = nullptr;
constexpr int kLaunchFailed = 9;     // cudaErrorInvalidConfiguration
int32_t launches = 0, failing = -1;  // since vexkd_emulation_fail; the number of the launch that fails
int error = 0;

[[noreturn]] void stop(char const* reason) {
  std::fprintf(stderr, "emulation: %s\n", reason);
  std::abort();
}

void wait_for(Wait what) {
  Fibre& self = fibres[running];
  self.wait = what;
  if (_setjmp(self.jump) == 0) _longjmp(scheduler, 1);
}

void live() {
  for (;;) {
    (*body)();
    wait_for(Wait::kEnd);
  }
}

void resume(unsigned thread) {
  running = thread;
  place.thread.x = thread;
  Fibre& fibre = fibres[thread];
  if (_setjmp(scheduler) != 0) return;
  if (fibre.started) _longjmp(fibre.jump, 1);
  fibre.started = true;
  getcontext(&fibre.context);
  fibre.context.uc_stack.ss_sp = fibre.stack.get();
  fibre.context.uc_stack.ss_size = kStack;
  fibre.context.uc_link = nullptr;
  makecontext(&fibre.context, live, 0);
  swapcontext(&first_scheduler, &fibre.context);
}

// Let go whoever waits for all of a group, once all of it wait; true if someone may run on.
bool release(Wait what, size_t begin, size_t end) {
  size_t waiting = 0;
  for (size_t i = begin; i < end; ++i) waiting += fibres[i].wait == what;
  if (waiting == 0) return false;
  for (size_t i = begin; i < end; ++i) {
    if (fibres[i].wait == Wait::kEnd) stop("a thread ended while others wait for it at a barrier");
  }
  if (waiting != end - begin) return false;
  for (size_t i = begin; i < end; ++i) fibres[i].wait = Wait::kNone;
  return true;
}

void run_block(unsigned threads) {
  std::vector<unsigned> order(threads);
  std::iota(order.begin(), order.end(), 0U);
  for (unsigned i = 0; i < threads; ++i) fibres[i].wait = Wait::kNone;
  for (;;) {
    std::shuffle(order.begin(), order.end(), random_order);
    size_t ended = 0;
    for (unsigned thread : order) {
      if (fibres[thread].wait == Wait::kNone) resume(thread);
      ended += fibres[thread].wait == Wait::kEnd;
    }
    if (ended == threads) return;
    bool released = release(Wait::kBlock, 0, threads);
    for (unsigned warp = 0; warp < threads; warp += kWarp) released |= release(Wait::kWarp, warp, warp + kWarp);
    if (!released) stop("threads wait for each other at different barriers");
  }
}

}  // namespace

void launch(dim3 grid, unsigned threads, std::function<void()> const& thread) {
  if (fibres.size() < threads) fibres.resize(threads);
  if (threads % kWarp != 0) stop("blocks must be whole warps");
  if (launches++ == failing) {
    error = kLaunchFailed;
    return;
  }
  block_size = threads;
  body = &thread;
  std::vector<uint64_t> blocks(uint64_t{grid.x} * grid.y * grid.z);
  std::iota(blocks.begin(), blocks.end(), uint64_t{0});
  std::shuffle(blocks.begin(), blocks.end(), random_order);
  place.grid = grid;
  for (uint64_t block : blocks) {
    place.block = dim3(static_cast<unsigned>(block % grid.x), static_cast<unsigned>(block / grid.x % grid.y),
                       static_cast<unsigned>(block / grid.x / grid.y));
    run_block(threads);
  }
}

int take_error() {
  int const taken = error;
  error = 0;
  return taken;
}

void block_barrier() { wait_for(Wait::kBlock); }

bool block_any(bool value) {
  fibres[running].value = value ? 1 : 0;
  wait_for(Wait::kBlock);
  bool const any =
      std::any_of(fibres.begin(), fibres.begin() + block_size, [](Fibre const& one) { return one.value != 0; });
  wait_for(Wait::kBlock);
  return any;
}

uint64_t shuffle(uint64_t value, unsigned source) {
  unsigned const self = running, warp = self / kWarp * kWarp;
  fibres[self].value = value;
  wait_for(Wait::kWarp);
  uint64_t const result = fibres[warp + source].value;
  wait_for(Wait::kWarp);
  return result;
}

}  // namespace emulation

extern "C" __attribute__((visibility("default"))) void vexkd_emulation_seed(uint32_t seed) {
  emulation::random_order.seed(seed);
}

// Let the launch of this number from now on fail, -1 for none; returns how many there were since the last call.
extern "C" __attribute__((visibility("default"))) int32_t vexkd_emulation_fail(int32_t launch) {
  int32_t const made = emulation::launches;
  emulation::launches = 0;
  emulation::failing = launch;
  return made;
}
