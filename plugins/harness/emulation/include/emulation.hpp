// A CUDA device on the CPU, as far as our kernels use one: every thread of a block is a fibre, blocks and threads run
// in a random order, barriers and warp shuffles wait for all. It finds wrong indices, missing barriers and results that
// depend on the order of atomics, and says nothing about speed. Built by emulate.py, which rewrites the launches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

namespace emulation {

/// What threadIdx, blockIdx and gridDim read; set before a fibre goes on.
struct Place {
  dim3 thread, block, grid;
};
extern Place place;

/// Run `thread` once for every thread of every block.
void launch(dim3 grid, unsigned threads, std::function<void()> const& thread);

/// The error of the last launch, which is forgotten; 0 for none.
int take_error();

/// Wait for all threads of the block; ends the program if some never come.
void block_barrier();

/// A barrier that tells whether any thread of the block passes true.
bool block_any(bool value);

/// The value that lane `source` of the warp passes in the same call, all 32 lanes together.
uint64_t shuffle(uint64_t value, unsigned source);

}  // namespace emulation
