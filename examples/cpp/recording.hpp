// A recorded scene in memory, as frames for a model. Read whole before the loop, so that the loop measures perception
// and no disk: some 2 MB per turn of the LiDAR, 26 MB per keyframe of six nuScenes cameras.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "jpeg.hpp"
#include "nuscenes_tables.hpp"
#include "vexkd/perception.hpp"

class Recording {
 public:
  // At most `most` moments of the scene. Throws std::runtime_error that names the file.
  Recording(const std::string& root, const std::string& version, const vexkd::Info& info, size_t most);

  size_t size() const { return moments_.size(); }
  // Seconds since the first moment.
  double time(size_t index) const;
  void fill(size_t index, vexkd::Frame& frame) const;
  // Of the cameras at that moment: ego moves between their time and the LiDAR's.
  void fill(size_t index, vexkd::Calibration& calibration) const;

 private:
  void read_points(const std::string& path);
  void read_image(const std::string& path, const vexkd::Info& info);

  std::vector<std::string> cameras_;
  bool has_points_;
  float own_vehicle_;
  std::vector<Moment> moments_;
  std::map<std::string, std::vector<float>> points_;  // (N, 5) by file: neighbouring moments share sweeps
  std::map<std::string, Image> images_;
};
