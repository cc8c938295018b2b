// A bundle folder, verified: the manifest first, then the SHA-256 of every file.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "manifest.hpp"

namespace vexkd::runtime {

struct Bundle {
  std::string path;
  std::string name;  // the folder's, without .vexkd
  Manifest manifest;
  // Content of every file the manifest lists, exactly the bytes that were verified; by name.
  std::map<std::string, std::vector<char>> files;
};

// Refuses what engines/bundle.py refuses, with the same reasons and commands.
Bundle read_bundle(const std::string& path);

}  // namespace vexkd::runtime
