#include "recording.hpp"

#include <fstream>
#include <iterator>
#include <stdexcept>

namespace {

constexpr float kIntensityScale = 255;  // nuScenes' raw units of the intensity 1
constexpr size_t kPointFloats = 5;      // x, y, z, intensity, ring

// From the sensor at its own time to ego at the moment's: through the world, where ego has moved.
Matrix4 to_ego(const Record& sensor, const Moment& moment) {
  const Record& now = moment.sweeps.front();
  if (sensor.timestamp == now.timestamp) return sensor.sensor_to_ego;
  return inverse(now.ego_to_global) * sensor.ego_to_global * sensor.sensor_to_ego;
}

}  // namespace

Recording::Recording(const std::string& root, const std::string& version, const vexkd::Info& info, size_t most)
    : cameras_(info.cameras), has_points_(info.point_capacity > 0), own_vehicle_(info.own_vehicle) {
  moments_ = read_scene(root, version, info.sweeps, !cameras_.empty());
  if (moments_.size() > most) moments_.resize(most);
  for (const Moment& moment : moments_) {
    if (has_points_) {
      for (const Record& sweep : moment.sweeps) read_points(sweep.path);
    }
    for (const std::string& camera : cameras_) {
      const auto found = moment.cameras.find(camera);
      if (found == moment.cameras.end()) {
        throw std::runtime_error("a keyframe of " + root + " has no " + camera + ", which this bundle looks at");
      }
      read_image(found->second.path, info);
    }
  }
}

double Recording::time(size_t index) const {
  return static_cast<double>(moments_[index].sweeps.front().timestamp - moments_[0].sweeps.front().timestamp) * 1e-6;
}

void Recording::fill(size_t index, vexkd::Frame& frame) const {
  frame.clear();
  const Moment& moment = moments_[index];
  for (size_t i = 0; has_points_ && i < moment.sweeps.size(); ++i) {
    const Record& record = moment.sweeps[i];
    vexkd::Sweep sweep;
    sweep.values = points_.at(record.path);
    sweep.stride = kPointFloats;
    sweep.sensor_to_ego = to_ego(record, moment);
    sweep.age = static_cast<float>(static_cast<double>(moment.sweeps[0].timestamp - record.timestamp) * 1e-6);
    sweep.intensity_scale = kIntensityScale;
    sweep.own_vehicle = own_vehicle_;
    frame.add_sweep(sweep);
  }
  for (const std::string& camera : cameras_) {
    frame.set_image(camera, images_.at(moment.cameras.at(camera).path).pixels);
  }
}

void Recording::fill(size_t index, vexkd::Calibration& calibration) const {
  const Moment& moment = moments_[index];
  for (const std::string& camera : cameras_) {
    const Record& record = moment.cameras.at(camera);
    calibration.set_camera(camera, record.intrinsics, to_ego(record, moment));
  }
}

void Recording::read_points(const std::string& path) {
  if (points_.count(path) > 0) return;
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (bytes.empty()) throw std::runtime_error(path + " is empty or cannot be read");
  if (bytes.size() % (kPointFloats * sizeof(float)) != 0) {
    throw std::runtime_error(path + " is truncated: " + std::to_string(bytes.size()) +
                             " bytes are no multiple of 20 (one point)");
  }
  std::vector<float>& values = points_[path];
  values.resize(bytes.size() / sizeof(float));
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(values.data()));
}

void Recording::read_image(const std::string& path, const vexkd::Info& info) {
  Image& image = images_[path];
  const std::string fault = read_jpeg(path, image);
  if (!fault.empty()) throw std::runtime_error(fault);
  if (image.height != info.image_height || image.width != info.image_width) {
    throw std::runtime_error(path + " is " + std::to_string(image.width) + "x" + std::to_string(image.height) +
                             ", the bundle was exported for " + std::to_string(info.image_width) + "x" +
                             std::to_string(info.image_height));
  }
}
