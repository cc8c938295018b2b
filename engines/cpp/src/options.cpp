#include "options.hpp"

#include <cmath>

#include "failure.hpp"
#include "text.hpp"

namespace vexkd::runtime {
namespace {

constexpr int32_t kMostWarmUps = 10000;

void require(bool holds, const char* name, double value, const char* expected) {
  if (!holds) fail(VEXKD_INVALID_ARGUMENT, text("option ", name, " is ", value, ", expected ", expected));
}

}  // namespace

vexkd_perception_options default_options() {
  vexkd_perception_options options{};
  options.struct_size = sizeof(options);
  options.warm_up = 1;
  options.score_threshold = std::nanf("");
  return options;
}

vexkd_perception_options checked_options(const vexkd_perception_options* given) {
  if (given == nullptr) return default_options();
  if (given->struct_size != sizeof(*given)) {
    fail(VEXKD_INVALID_ARGUMENT,
         text("vexkd_perception_options has struct_size ", given->struct_size, ", this library's is ", sizeof(*given),
              "; fill it by vexkd_perception_default_options, and compile against the headers of this library"));
  }
  require(given->backend >= VEXKD_BACKEND_AUTO && given->backend <= VEXKD_BACKEND_TENSORRT, "backend", given->backend,
          "one of vexkd_backend, 0 to 3");
  require(given->threads >= 0, "threads", given->threads, "0 for all, or a number of threads");
  require(given->device >= 0, "device", given->device, "the number of a CUDA device, from 0");
  require(given->warm_up >= 0 && given->warm_up <= kMostWarmUps, "warm_up", given->warm_up, "0 to 10000 runs");
  require(given->cuda_graph == 0 || given->cuda_graph == 1, "cuda_graph", given->cuda_graph, "0 or 1");
  require(std::isnan(given->score_threshold) || (given->score_threshold >= 0 && given->score_threshold <= 1),
          "score_threshold", given->score_threshold, "0 to 1, or NaN for the bundle's own");
  return *given;
}

}  // namespace vexkd::runtime
