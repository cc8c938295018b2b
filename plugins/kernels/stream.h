// Stores that go around the caches: half the memory traffic for outputs that no cache would hold anyway.
#ifndef VEXKD_KERNELS_STREAM_H
#define VEXKD_KERNELS_STREAM_H

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace vexkd {

// Outputs from this size on are streamed.
constexpr size_t kStreamBytes = size_t{8} << 20;

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

}  // namespace vexkd

#endif
