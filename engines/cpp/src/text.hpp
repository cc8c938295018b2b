// Messages: pieces of any printable kind joined to one line.
#pragma once

#include <sstream>
#include <string>

namespace vexkd::runtime {

template <typename... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream line;
  (line << ... << parts);
  return line.str();
}

}  // namespace vexkd::runtime
