// Prints the SHA-256 of the first 0, 1, 2, ... bytes of the standard input, and of all of it; then whether the plain
// code and the processor's instructions, where it has them, agree.

#include <cstdio>
#include <iostream>
#include <iterator>
#include <vector>

#include "sha256.cpp"

int main() {
  using namespace vexkd::runtime;
  const std::vector<char> data(std::istreambuf_iterator<char>(std::cin), {});
  for (size_t size = 0; size < 200; ++size) std::puts(sha256(data.data(), size).c_str());
  std::puts(sha256(data.data(), data.size()).c_str());
  uint32_t plain[8] = {1, 2, 3, 4, 5, 6, 7, 8}, chosen[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  const auto bytes = reinterpret_cast<const uint8_t*>(data.data());
  compress_plain(plain, bytes, data.size() / kBlock);
  compress(chosen, bytes, data.size() / kBlock);
  std::puts(std::memcmp(plain, chosen, sizeof plain) == 0 ? "agree" : "differ");
}
