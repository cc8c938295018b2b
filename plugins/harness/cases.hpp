// Inputs for whole calls of the plugins, and what the CPU kernels make of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checks.hpp"

namespace harness {

struct Tensor {
  std::vector<int64_t> dims;
  DataType type;
  std::vector<uint8_t> bytes;
  TensorFormat format = TensorFormat::kLINEAR;

  PluginTensorDesc desc() const { return describe(dims, type, format); }
};

struct Case {
  std::string name;
  std::string plugin;
  std::vector<Tensor> inputs;
  std::vector<Tensor> expected;
  float tolerance;  // largest difference allowed, relative to max(1, |expected|); 0 wants the same bits
};

/// Empty, dropped, crowded and odd-sized cases of every plugin at FP32 and FP16, on the grid of default_fields().
std::vector<Case> make_cases(Libraries const& libraries);

/// Throws Failure if an output differs by more than the case allows.
void compare(Case const& expected, std::vector<std::vector<uint8_t>> const& outputs);

}  // namespace harness
