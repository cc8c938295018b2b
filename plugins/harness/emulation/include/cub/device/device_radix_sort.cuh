#pragma once

#include <algorithm>
#include <vector>

#include "cuda_runtime.h"

namespace cub {

struct DeviceRadixSort {
  template <typename Key, typename Value>
  static cudaError_t SortPairs(void* storage, size_t& storage_size, Key const* keys, Key* sorted_keys,
                               Value const* values, Value* sorted_values, int count, int, int end_bit,
                               cudaStream_t = nullptr) {
    if (storage == nullptr) {
      storage_size = 1024;
      return cudaSuccess;
    }
    std::vector<int> order(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) order[static_cast<size_t>(i)] = i;
    Key const mask = static_cast<Key>((uint64_t{1} << end_bit) - 1);  // bits beyond are not looked at
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return (keys[a] & mask) < (keys[b] & mask); });
    for (int i = 0; i < count; ++i) {
      sorted_keys[i] = keys[order[static_cast<size_t>(i)]];
      sorted_values[i] = values[order[static_cast<size_t>(i)]];
    }
    return cudaSuccess;
  }
};

}  // namespace cub
