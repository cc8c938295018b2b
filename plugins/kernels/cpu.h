// What the CPU kernels share: function multiversioning, half precision, division by an invariant.
#ifndef VEXKD_KERNELS_CPU_H
#define VEXKD_KERNELS_CPU_H

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "vexkd/types.h"

// A leaf function compiled for the baseline, AVX2 and AVX-512; the loader picks one. Contraction into fused
// multiply-add is off for the whole library, so all versions give the same bits. Sanitizers do not bear ifuncs.
#if defined(__x86_64__) && __GNUC__ >= 12 && !defined(__clang__) && defined(__GLIBC__) && !defined(VEXKD_SANITIZE)
#define VEXKD_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define VEXKD_CLONES
#endif
#define VEXKD_INLINE inline __attribute__((always_inline))

namespace vexkd {

template <typename To, typename From>
VEXKD_INLINE To bit_cast(const From& from) {
  static_assert(sizeof(To) == sizeof(From), "same size");
  To to;
  std::memcpy(&to, &from, sizeof(to));
  return to;
}

// binary16 <-> binary32 without branches, so that loops over them vectorise; ties to even, subnormals and NaN kept.
VEXKD_INLINE float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(half & 0x7FFFU) << 13;
  const uint32_t exponent = magnitude & 0x0F800000U;
  const uint32_t normal = magnitude + 0x38000000U;
  const uint32_t special = magnitude + 0x70000000U;
  const uint32_t subnormal = bit_cast<uint32_t>(bit_cast<float>(magnitude + 0x38800000U) - 0x1p-14F);
  const uint32_t bits = exponent == 0x0F800000U ? special : (exponent == 0 ? subnormal : normal);
  return bit_cast<float>(bits | sign);
}

VEXKD_INLINE uint16_t float_to_half(float value) {
  const uint32_t bits = bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000U;
  const uint32_t magnitude = bits & 0x7FFFFFFFU;
  const uint32_t normal = (magnitude + 0xC8000FFFU + ((magnitude >> 13) & 1U)) >> 13;
  // Adding 0.5 aligns the subnormal's last bit with the float's: the addition itself rounds.
  const uint32_t subnormal = bit_cast<uint32_t>(bit_cast<float>(magnitude) + 0.5F) - 0x3F000000U;
  const uint32_t special = magnitude > 0x7F800000U ? 0x7E00U : 0x7C00U;
  const uint32_t finite = magnitude < 0x38800000U ? subnormal : normal;
  return static_cast<uint16_t>((magnitude >= 0x47800000U ? special : finite) | sign);
}

struct Half {
  uint16_t bits;
};

VEXKD_INLINE float load(float value) { return value; }
VEXKD_INLINE float load(Half value) { return half_to_float(value.bits); }
VEXKD_INLINE void store(float value, float* to) { *to = value; }
VEXKD_INLINE void store(int32_t value, int32_t* to) { *to = value; }
VEXKD_INLINE void store(float value, Half* to) { to->bits = float_to_half(value); }

// n / divisor for 0 <= n < 2^32 by one multiplication.
class Divider {
 public:
  explicit Divider(uint32_t divisor) : magic_(divisor == 1 ? 0 : UINT64_MAX / divisor + 1) {}
  VEXKD_INLINE uint32_t operator()(uint32_t n) const {
    return magic_ == 0 ? n : static_cast<uint32_t>((static_cast<unsigned __int128>(magic_) * n) >> 64);
  }

 private:
  uint64_t magic_;
};

inline int64_t ceil_divide(int64_t n, int64_t divisor) { return (n + divisor - 1) / divisor; }

}  // namespace vexkd

#endif
