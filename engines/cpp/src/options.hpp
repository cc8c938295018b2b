// How a bundle is opened: defaults and checks.
#pragma once

#include "vexkd/perception.h"

namespace vexkd::runtime {

vexkd_perception_options default_options();

// The caller's options, or the defaults for null. Fails with INVALID_ARGUMENT.
vexkd_perception_options checked_options(const vexkd_perception_options* given);

}  // namespace vexkd::runtime
