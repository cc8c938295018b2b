// What vexkd_last_message says, and the border over which no exception passes.
#pragma once

#include <string_view>
#include <utility>

#include "failure.hpp"

namespace vexkd::runtime {

// This thread's last message, "" before the first; valid until its next.
const char* last_message() noexcept;
// Keep a message for this thread; one of more than some 8,000 bytes loses its end.
void set_message(std::string_view message) noexcept;

// The status of the exception that is being handled, whose message is kept.
vexkd_status report_exception() noexcept;

// Run the body of a C entry point: VEXKD_OK if it returns, else the status of what it threw, whose message is kept.
template <typename Body>
vexkd_status guarded(Body&& body) noexcept {
  try {
    std::forward<Body>(body)();
    return VEXKD_OK;
  } catch (...) {
    return report_exception();
  }
}

}  // namespace vexkd::runtime
