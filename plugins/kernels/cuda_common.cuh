// What the CUDA kernels share: half precision, 16-byte loads, division by an invariant, cells, launches.
#ifndef VEXKD_KERNELS_CUDA_COMMON_CUH
#define VEXKD_KERNELS_CUDA_COMMON_CUH

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>

#include "cuda_error.h"
#include "cuda_workspace.h"

// Not plain vexkd: the CPU kernels have names like these, and both end in one library.
namespace vexkd::device {

constexpr int kBlock = 256;     // threads of every block
constexpr int kTileCells = 32;  // consecutive BEV cells of one block: a warp's worth of one output row

__device__ inline float load(float value) { return value; }
__device__ inline float load(__half value) { return __half2float(value); }
__device__ inline void store(float value, float* to) { *to = value; }
__device__ inline void store(float value, __half* to) { *to = __float2half_rn(value); }

// kCount consecutive values; aligned to their size, so 16 bytes are one load.
template <typename T, int kCount>
struct alignas(sizeof(T) * kCount) Pack {
  T values[kCount];
};

template <typename T>
constexpr int kVector = kVectorBytes / static_cast<int>(sizeof(T));

// All threads of a block write `channels` channels of `cells` consecutive pixels of a packed map, `to` being the first
// one's place in the first pixel and `pitch` the channels of a pixel, padding included. value(cell, channel) is asked
// for real channels only; those up to the next whole vector are 0.
template <typename T, typename Value>
__device__ void store_packed(int cells, int channels, const Value& value, int64_t pitch, T* to) {
  constexpr int kPack = kVector<T>;
  const int packs = (channels + kPack - 1) / kPack;
  for (int i = static_cast<int>(threadIdx.x); i < cells * packs; i += kBlock) {
    const int cell = i / packs, first = i % packs * kPack;
    Pack<T, kPack> pack;
    for (int k = 0; k < kPack; ++k) {
      store(first + k < channels ? value(cell, first + k) : 0.0F, pack.values + k);
    }
    *reinterpret_cast<Pack<T, kPack>*>(to + cell * pitch + first) = pack;
  }
}

// n / divisor for 0 <= n < 2^31 and 1 <= divisor < 2^31: high word of a product, an addition and a shift.
class Divider {
 public:
  Divider() = default;
  explicit Divider(uint32_t divisor) : divisor_(divisor), shift_(0) {
    while ((uint64_t{1} << shift_) < divisor) ++shift_;
    magic_ = static_cast<uint32_t>(((uint64_t{1} << 32) * ((uint64_t{1} << shift_) - divisor)) / divisor + 1);
  }
  __device__ uint32_t quotient(uint32_t n) const { return (__umulhi(n, magic_) + n) >> shift_; }
  __device__ uint32_t divisor() const { return divisor_; }

 private:
  uint32_t divisor_ = 1;
  uint32_t magic_ = 1;
  uint32_t shift_ = 0;
};

// One axis of the grid, with types.h's cell arithmetic: no fused multiply-add, no reciprocal.
struct Axis {
  float low, cell;
  int32_t cells;

  __device__ float index_of(float value) const { return floorf(__fdiv_rn(__fsub_rn(value, low), cell)); }
  // Compared as floats before converting. Where float cannot tell `cells` from its neighbours, the float just below the
  // nearest one to `cells` is still below `cells`, so no index gets out of the grid.
  __device__ bool holds(float index) const { return index >= 0.0F && index < static_cast<float>(cells); }
  __device__ float centre_of(float index) const { return __fadd_rn(__fmul_rn(__fadd_rn(index, 0.5F), cell), low); }
};

inline Axis x_axis(const vexkd_grid& grid) { return {grid.x_min, grid.cell_x, grid.width}; }
inline Axis y_axis(const vexkd_grid& grid) { return {grid.y_min, grid.cell_y, grid.height}; }

inline int64_t ceil_divide(int64_t n, int64_t divisor) { return (n + divisor - 1) / divisor; }

inline unsigned blocks_for(int64_t threads) { return static_cast<unsigned>(ceil_divide(threads, kBlock)); }

// Second and third grid dimensions end at 65535; kernels stride over what is beyond.
inline unsigned limited(int64_t blocks) { return static_cast<unsigned>(std::min<int64_t>(blocks, 65535)); }

// VEXKD_OK, or what vexkd_last_cuda_error then tells; the error is CUDA's own no longer, so the next call starts
// afresh.
inline vexkd_status done(cudaError_t error) {
  if (error == cudaSuccess) return VEXKD_OK;
  (void)cudaGetLastError();
  return record_cuda_error(error, cudaGetErrorName(error));
}

inline vexkd_status launched() { return done(cudaGetLastError()); }

}  // namespace vexkd::device

#endif
