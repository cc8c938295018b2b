// nuScenes' tables as far as a loop needs them: which files belong to a moment, and where the sensors were.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "transform.hpp"
#include "vexkd/frame.hpp"

// One file of one sensor.
struct Record {
  std::string path;
  long long timestamp;  // microseconds
  Matrix4 sensor_to_ego;
  Matrix4 ego_to_global;      // at the file's own time
  vexkd::Matrix3 intrinsics;  // of a camera
};

// One turn of the LiDAR, and the cameras' images next to it.
struct Moment {
  std::vector<Record> sweeps;             // its own, then ever older ones
  std::map<std::string, Record> cameras;  // by channel; only keyframes have them
};

// The first scene of a root in time order: every turn of its LiDAR, or its keyframes alone. `version` "" takes the only
// v1.0-* folder. Throws std::runtime_error that names the file.
std::vector<Moment> read_scene(const std::string& root, const std::string& version, int sweeps, bool keyframes_only);
