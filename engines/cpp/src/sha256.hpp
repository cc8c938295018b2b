// SHA-256 (FIPS 180-4) of memory.
#pragma once

#include <cstddef>
#include <string>

namespace vexkd::runtime {

// 64 lower-case hexadecimal digits.
std::string sha256(const void* data, size_t size);

}  // namespace vexkd::runtime
