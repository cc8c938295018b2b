// What runs a bundle's model: ONNX Runtime or TensorRT behind one face.
#pragma once

#include <memory>
#include <string>

#include "bundle.hpp"
#include "vexkd/perception.h"

namespace vexkd::runtime {

class Backend {
 public:
  virtual ~Backend() = default;

  // Host memory of input `index` (as in manifest.inputs), reserved for the life of the backend: written, then run.
  virtual void* input(size_t index) = 0;
  // Read the input of the next runs from the caller's memory instead, dense and of the manifest's shape and type; null
  // goes back to input(index). Fails with BAD_FRAME for device memory where the backend has none.
  virtual void bind_input(size_t index, const void* data, vexkd_memory memory) = 0;
  // Run the model; outputs are complete on return.
  virtual void run() = 0;
  // Host memory of output `index` (as in manifest.outputs) after run().
  virtual const void* output(size_t index) const = 0;

  virtual vexkd_backend kind() const = 0;
  // What runs it and its version, one line: "ONNX Runtime 1.32.0 (CPU), native operators".
  virtual const std::string& name() const = 0;
};

// Options have been checked and defaulted. All fail with NO_BACKEND, INCOMPATIBLE or BACKEND_FAILED.
std::unique_ptr<Backend> open_onnxruntime(const Bundle& bundle, const vexkd_perception_options& options, bool cuda);
std::unique_ptr<Backend> open_tensorrt(const Bundle& bundle, const vexkd_perception_options& options);

// Whether the bundle has an engine that TensorRT can run on this machine's GPU; never fails. Why not, in `reason`.
bool tensorrt_can_run(const Bundle& bundle, const vexkd_perception_options& options, std::string& reason);

}  // namespace vexkd::runtime
