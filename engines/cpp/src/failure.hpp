// How the runtime's own code fails: an exception that carries a status and a message, caught at the C ABI.
#pragma once

#include <string>
#include <utility>

#include "vexkd/types.h"

namespace vexkd::runtime {

struct Failure {
  vexkd_status status;
  std::string message;  // what came, what was expected, what to do; one line
};

[[noreturn]] inline void fail(vexkd_status status, std::string message) { throw Failure{status, std::move(message)}; }

}  // namespace vexkd::runtime
