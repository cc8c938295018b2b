// Errors on their way to ONNX Runtime: thrown inside, turned into a status where ONNX Runtime called.
#pragma once

#include <exception>
#include <stdexcept>
#include <string>

#include "ort_api.h"

namespace vexkd::ort {

/// A call or a node that is refused; what() says what came and what was expected.
class Failure : public std::runtime_error {
 public:
  explicit Failure(const std::string& message, ErrorCode code = ErrorCode::kInvalidArgument)
      : std::runtime_error(message), code(code) {}
  const ErrorCode code;
};

/// Throw what ONNX Runtime reports, and give its status back.
inline void check(const Api& api, Status* status) {
  if (status == nullptr) return;
  const Failure failure(api.call(slot::GetErrorMessage, status), api.call(slot::GetErrorCode, status));
  api.call(slot::ReleaseStatus, status);
  throw failure;
}

/// Run body(), which may throw; null, or a status whose message begins with "vexkd <name>: ".
template <class Body>
Status* guarded(const Api& api, const char* name, const Body& body) noexcept {
  try {
    try {
      body();
      return nullptr;
    } catch (const Failure& failure) {
      const std::string message = std::string("vexkd ") + name + ": " + failure.what();
      return api.call(slot::CreateStatus, failure.code, message.c_str());
    }
  } catch (const std::exception& error) {  // out of memory, above or in the message
    return api.call(slot::CreateStatus, ErrorCode::kRuntimeException, error.what());
  }
}

}  // namespace vexkd::ort
