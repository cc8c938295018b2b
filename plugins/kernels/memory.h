// Large outputs and scratch memory: huge pages, and stores that go around the caches.
#ifndef VEXKD_KERNELS_MEMORY_H
#define VEXKD_KERNELS_MEMORY_H

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "vexkd/types.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace vexkd {

// Outputs from this size on are streamed: no cache would hold them anyway.
constexpr size_t kStreamBytes = size_t{8} << 20;
// Memory from this size on is worth huge pages.
constexpr size_t kHugeBytes = size_t{4} << 20;

// Ask for huge pages where memory that will be written whole is touched for the first time: page faults can cost more
// than the kernel. Harmless for memory that is in use or not eligible.
inline void prefer_huge_pages(void* memory, size_t bytes) {
#if defined(MADV_HUGEPAGE)
  constexpr uintptr_t kPage = 4096;
  if (bytes < kHugeBytes) return;
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(memory) + kPage - 1) / kPage * kPage;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + bytes) / kPage * kPage;
  const int kept = errno;
  static_cast<void>(madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE));
  errno = kept;
#else
  static_cast<void>(memory);
  static_cast<void>(bytes);
#endif
}

// Copy to memory that nobody reads soon; call stream_fence before another thread may read it.
inline void stream_copy(void* to, const void* from, size_t bytes) {
#if defined(__SSE2__)
  char* target = static_cast<char*>(to);
  const char* source = static_cast<const char*>(from);
  const size_t head = (0 - reinterpret_cast<uintptr_t>(target)) % 16;
  if (bytes >= head + 16) {
    std::memcpy(target, source, head);
    size_t done = head;
    for (; done + 16 <= bytes; done += 16) {
      const __m128i piece = _mm_loadu_si128(reinterpret_cast<const __m128i*>(source + done));
      _mm_stream_si128(reinterpret_cast<__m128i*>(target + done), piece);
    }
    std::memcpy(target + done, source + done, bytes - done);
    return;
  }
#endif
  std::memcpy(to, from, bytes);
}

inline void stream_fence() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

// The caller's workspace from its first whole cache line on, or memory of the call's own where the caller gave none.
class Scratch {
 public:
  Scratch(void* workspace, size_t size) : data_(first_line(workspace)) {
    if (workspace == nullptr && size > 0) {
      owned_ = std::aligned_alloc(VEXKD_CPU_ALIGNMENT, block_bytes(size));
      data_ = owned_;
      // A table over a large grid is touched here and there only: small pages are the better ones.
      if (owned_ != nullptr && size < kSparseBytes) prefer_huge_pages(owned_, size);
    }
    failed_ = data_ == nullptr && size > 0;
  }
  ~Scratch() { std::free(owned_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  bool failed() const { return failed_; }

  // The next `count` elements, each block on its own cache line.
  template <typename T>
  T* take(size_t count) {
    T* block = reinterpret_cast<T*>(static_cast<char*>(data_) + used_);
    used_ += block_bytes(count * sizeof(T));
    return block;
  }

  // Bytes that take() uses for a block of `bytes`; saturates.
  static size_t block_bytes(size_t bytes) {
    const size_t padding = VEXKD_CPU_ALIGNMENT - 1;
    return bytes > SIZE_MAX - padding ? SIZE_MAX : (bytes + padding) / VEXKD_CPU_ALIGNMENT * VEXKD_CPU_ALIGNMENT;
  }

  // Bytes of a workspace that may lie anywhere, for blocks of `bytes` together; saturates.
  static size_t anywhere(size_t bytes) {
    const size_t padding = VEXKD_CPU_ALIGNMENT - 1;
    return bytes == 0 || bytes > SIZE_MAX - padding ? bytes : bytes + padding;
  }

 private:
  static void* first_line(void* workspace) {
    const size_t beyond = reinterpret_cast<uintptr_t>(workspace) % VEXKD_CPU_ALIGNMENT;
    return beyond == 0 ? workspace : static_cast<char*>(workspace) + (VEXKD_CPU_ALIGNMENT - beyond);
  }

  static constexpr size_t kSparseBytes = size_t{256} << 20;

  void* data_;
  void* owned_ = nullptr;
  size_t used_ = 0;
  bool failed_ = false;
};

inline size_t saturating_add(size_t a, size_t b) { return a > SIZE_MAX - b ? SIZE_MAX : a + b; }

}  // namespace vexkd

#endif
