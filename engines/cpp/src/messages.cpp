#include "messages.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>

#include "vexkd/perception.h"

namespace vexkd::runtime {
namespace {

constexpr std::string_view kCut = "...";

// A plain array: a string could fail to keep the message that memory has run out.
thread_local char t_message[8192] = "";

}  // namespace

const char* last_message() noexcept { return t_message; }

void set_message(std::string_view message) noexcept {
  const size_t room = sizeof t_message - 1;
  size_t size = message.size();
  const bool cut = size > room;
  if (cut) {
    size = room - kCut.size();
    while (size > 0 && (message[size] & 0xC0) == 0x80) --size;  // not within a character of UTF-8
  }
  std::memmove(t_message, message.data(), size);  // it may be the kept message itself
  if (cut) size += kCut.copy(t_message + size, kCut.size());
  std::replace_if(t_message, t_message + size, [](unsigned char c) { return c < ' ' || c == 0x7F; }, '?');  // one line
  t_message[size] = '\0';
}

vexkd_status report_exception() noexcept {
  try {
    throw;
  } catch (const Failure& failure) {
    set_message(failure.message);
    return failure.status;
  } catch (const std::bad_alloc&) {
    set_message("out of memory; free some, or use a smaller model");
    return VEXKD_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    set_message(error.what());
    return VEXKD_BACKEND_FAILED;
  } catch (...) {
    set_message("an exception of unknown type; it was not thrown by VeXKD");
    return VEXKD_BACKEND_FAILED;
  }
}

}  // namespace vexkd::runtime

const char* vexkd_last_message(void) { return vexkd::runtime::last_message(); }
