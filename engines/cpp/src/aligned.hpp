// Memory at the alignment that the kernels' workspaces ask for; reserved once.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

#include "vexkd/types.h"

namespace vexkd::runtime {

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<void, Free>;

// Zeroed bytes, at least one.
inline Memory reserve(size_t size) {
  const size_t rounded = (size / VEXKD_CPU_ALIGNMENT + 1) * VEXKD_CPU_ALIGNMENT;
  Memory memory(std::aligned_alloc(VEXKD_CPU_ALIGNMENT, rounded));
  if (!memory) throw std::bad_alloc();
  __builtin_memset(memory.get(), 0, rounded);
  return memory;
}

}  // namespace vexkd::runtime
