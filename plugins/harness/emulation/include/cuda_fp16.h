#pragma once

// The compiler's own binary16: GCC from 12 on, Clang from 15 on.
struct __half {
  _Float16 value;
  __half() = default;
  explicit __half(float from) : value(static_cast<_Float16>(from)) {}
};
inline float __half2float(__half half) { return static_cast<float>(half.value); }
inline __half __float2half_rn(float value) { return __half(value); }
