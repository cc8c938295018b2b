// JPEG files to RGB, by libjpeg(-turbo) where the build found it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

struct Image {
  int height = 0, width = 0;
  std::vector<uint8_t> pixels;  // (height, width, 3) RGB
};

// Whether this build can decode at all.
bool has_jpeg();

// Fills `image`; "" or, for a file that cannot be read or is no whole JPEG, one line with its path.
std::string read_jpeg(const std::string& path, Image& image);
