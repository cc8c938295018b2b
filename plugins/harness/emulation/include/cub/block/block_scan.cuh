#pragma once

#include "emulation.hpp"

namespace cub {

template <typename T, int kThreads>
class BlockScan {
 public:
  struct TempStorage {
    T sums[kThreads];
  };
  explicit BlockScan(TempStorage& storage) : storage_(storage) {}

  template <int kItems>
  void ExclusiveSum(T (&in)[kItems], T (&out)[kItems], T& total) {
    T sum = 0;
    for (T item : in) sum += item;
    T before = 0;
    ExclusiveSum(sum, before, total);
    for (int i = 0; i < kItems; ++i) {
      T const item = in[i];
      out[i] = before;
      before += item;
    }
  }

  void ExclusiveSum(T in, T& out, T& total) {
    unsigned const thread = emulation::place.thread.x;
    storage_.sums[thread] = in;
    emulation::block_barrier();
    T before = 0;
    total = 0;
    for (int i = 0; i < kThreads; ++i) {
      if (static_cast<unsigned>(i) < thread) before += storage_.sums[i];
      total += storage_.sums[i];
    }
    out = before;
    // As on the device, the storage may be used again only after a barrier of the caller's.
  }

 private:
  TempStorage& storage_;
};

}  // namespace cub
