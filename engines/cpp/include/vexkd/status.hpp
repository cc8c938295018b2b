// How calls end: Status, and Result, which is a value or the Status that says why there is none. No exceptions, but for
// those who ask: Result::value_or_throw.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

#include "vexkd/perception.h"

#ifdef __cpp_exceptions
#include <stdexcept>
#endif

namespace vexkd {

class [[nodiscard]] Status {
 public:
  /** Success; holds no memory. */
  Status() = default;
  Status(vexkd_status code, std::string message) : code_(code), message_(std::move(message)) {}
  /** What a call of the C ABI returned, with this thread's vexkd_last_message(). */
  static Status of(vexkd_status code) { return code == VEXKD_OK ? Status() : Status(code, vexkd_last_message()); }

  bool ok() const noexcept { return code_ == VEXKD_OK; }
  /** VEXKD_OK, VEXKD_BAD_FRAME, ...: see types.h and perception.h. */
  vexkd_status code() const noexcept { return code_; }
  /** What came, what was expected and what to do; "" where ok(). */
  const std::string& message() const noexcept { return message_; }

 private:
  vexkd_status code_ = VEXKD_OK;
  std::string message_;
};

#ifdef __cpp_exceptions
/** What value_or_throw throws. */
class Error : public std::runtime_error {
 public:
  explicit Error(const Status& status) : std::runtime_error(status.message()), code_(status.code()) {}
  vexkd_status code() const noexcept { return code_; }

 private:
  vexkd_status code_;
};
#endif

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  /** `status` must not be ok(). */
  Result(Status status) : status_(std::move(status)) {}

  bool ok() const noexcept { return value_.has_value(); }
  const Status& status() const noexcept { return status_; }

  /** The value. Where there is none the message is printed and the process aborts: look at ok() first. */
  T& operator*() & { return checked(); }
  T&& operator*() && { return std::move(checked()); }
  T* operator->() { return &checked(); }

#ifdef __cpp_exceptions
  /** The value, or its Status as an Error. Absent under -fno-exceptions. */
  T value_or_throw() && {
    if (!ok()) throw Error(status_);
    return std::move(*value_);
  }
#endif

 private:
  T& checked() {
    if (!ok()) {
      std::fprintf(stderr, "vexkd: a Result without a value was used: %s\n", status_.message().c_str());
      std::abort();
    }
    return *value_;
  }

  Status status_;
  std::optional<T> value_;
};

}  // namespace vexkd
