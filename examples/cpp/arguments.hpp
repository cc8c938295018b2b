// Command line of drive_loop.
#pragma once

#include <string>

struct Arguments {
  std::string data, version, lidar, camera, onnxruntime;
  double rate = 10, seconds = 10;
};

// Fills `arguments`; "" or, for a mistake, one line that says what is wrong.
std::string parse(int count, char** words, Arguments& arguments);

extern const char* const kUsage;
