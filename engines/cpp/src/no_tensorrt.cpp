// The TensorRT backend of a library that was built without TensorRT's headers or without CUDA: it is not there, and
// says so.
#include "backend.hpp"
#include "failure.hpp"

namespace vexkd::runtime {
namespace {

constexpr char kReason[] = "this libvexkd was built with CUDA " VEXKD_CUDA_VERSION " and " VEXKD_TENSORRT_BUILD
                           ", so it cannot run engines; build it where nvcc and TensorRT's headers are (TENSORRT_ROOT="
                           "FOLDER pip install vexkd, or make clean native), or open the bundle with another backend";

}  // namespace

std::unique_ptr<Backend> open_tensorrt(const Bundle&, const vexkd_perception_options&) {
  fail(VEXKD_NO_BACKEND, kReason);
}

bool tensorrt_can_run(const Bundle&, const vexkd_perception_options&, std::string& reason) {
  reason = kReason;
  return false;
}

}  // namespace vexkd::runtime
