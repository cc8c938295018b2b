// The plugin library of a bundle in TensorRT's registry.
#pragma once

#include "bundle.hpp"
#include "tensorrt_library.hpp"

namespace vexkd::runtime {

// Register the plugins of the bundle's own library with TensorRT, from the bytes that were verified; an identical
// library needs no second time. Fails with INCOMPATIBLE if this process has other plugins of ours already, for it can
// hold one version only, and BACKEND_FAILED if TensorRT takes no plugins from it.
void load_tensorrt_plugins(const TensorrtLibrary& library, const Bundle& bundle);

}  // namespace vexkd::runtime
