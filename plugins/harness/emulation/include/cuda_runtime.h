// The part of CUDA's runtime and of its device functions that our kernels use, over emulation.hpp.
#pragma once

#include <cmath>
#include <cstring>

#include "emulation.hpp"

#define __global__ static
#define __device__
#define __host__
#define __shared__ static
#define __launch_bounds__(...)
#define threadIdx (emulation::place.thread)
#define blockIdx (emulation::place.block)
#define gridDim (emulation::place.grid)

using std::isfinite;

typedef int cudaError_t;
typedef struct CUstream_st* cudaStream_t;
constexpr cudaError_t cudaSuccess = 0;
constexpr cudaError_t cudaErrorInvalidConfiguration = 9;
inline cudaError_t cudaGetLastError() { return emulation::take_error(); }
inline const char* cudaGetErrorName(cudaError_t error) {
  return error == cudaSuccess ? "cudaSuccess" : "cudaErrorInvalidConfiguration";
}
inline cudaError_t cudaMemsetAsync(void* data, int value, size_t size, cudaStream_t) {
  std::memset(data, value, size);
  return cudaSuccess;
}

struct int2 {
  int x, y;
};
inline int2 make_int2(int x, int y) { return {x, y}; }

template <typename T>
T min(T a, T b) {
  return b < a ? b : a;
}
template <typename T>
T max(T a, T b) {
  return a < b ? b : a;
}

inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __dsqrt_rn(double a) { return std::sqrt(a); }
inline int __popcll(unsigned long long a) { return __builtin_popcountll(a); }
inline int __ffsll(long long a) { return __builtin_ffsll(a); }
inline int __float2int_rn(float a) { return static_cast<int>(std::nearbyint(a)); }
inline float __ll2float_rn(long long a) { return static_cast<float>(a); }
inline float __uint2float_rn(unsigned a) { return static_cast<float>(a); }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(uint64_t{a} * b >> 32); }

template <typename To, typename From>
To emulated_bits(From from) {
  To to;
  static_assert(sizeof(to) == sizeof(from), "same size");
  std::memcpy(&to, &from, sizeof(to));
  return to;
}
inline unsigned __float_as_uint(float a) { return emulated_bits<unsigned>(a); }
inline float __uint_as_float(unsigned a) { return emulated_bits<float>(a); }

inline void __syncthreads() { emulation::block_barrier(); }
inline int __syncthreads_or(int value) { return emulation::block_any(value != 0) ? 1 : 0; }
inline float __shfl_xor_sync(unsigned, float value, unsigned step) {
  return __uint_as_float(static_cast<unsigned>(emulation::shuffle(__float_as_uint(value), (threadIdx.x % 32) ^ step)));
}

// Fibres change only at barriers, so plain operations are atomic.
template <typename T, typename U>
T atomicAdd(T* at, U value) {
  T const old = *at;
  *at = old + value;
  return old;
}
template <typename T, typename U>
T atomicSub(T* at, U value) {
  T const old = *at;
  *at = old - value;
  return old;
}
template <typename T>
T atomicMax(T* at, T value) {
  T const old = *at;
  *at = old < value ? value : old;
  return old;
}
template <typename T>
T atomicCAS(T* at, T expected, T value) {
  T const old = *at;
  if (old == expected) *at = value;
  return old;
}
template <typename T>
T atomicOr(T* at, T value) {
  T const old = *at;
  *at = old | value;
  return old;
}
