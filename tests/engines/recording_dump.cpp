// What examples/cpp/recording.cpp hands to a model, as raw numbers: recording_dump ROOT HEIGHT WIDTH SWEEPS [CAMERA
// ...] writes per moment its time, its sweeps and its cameras to stdout.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "recording.hpp"

namespace {

template <typename T>
void put(const T* values, size_t count) {
  std::fwrite(values, sizeof(T), count, stdout);
}

void put(double value) { put(&value, 1); }

vexkd::Info make_info(char** arguments, int cameras) {
  static const char* const classes[] = {"car"};
  vexkd_perception_info info{};
  info.image_height = std::atoi(arguments[0]);
  info.image_width = std::atoi(arguments[1]);
  info.sweeps = std::atoi(arguments[2]);
  info.point_capacity = 1;
  info.own_vehicle = 1;
  info.views = cameras;
  info.cameras = arguments + 3;
  info.classes = 1;
  info.class_names = classes;
  info.name = info.precision = info.backend = "";
  return vexkd::Info(info);
}

void dump(const vexkd_frame& frame, const vexkd_calibration& calibration, const vexkd::Info& info) {
  put(frame.sweep_count);
  for (int32_t i = 0; i < frame.sweep_count; ++i) {
    const vexkd_sweep& sweep = frame.sweeps[i];
    put(sweep.sensor_to_ego, 16);
    for (double value : {double{sweep.age}, double{sweep.intensity_scale}, double{sweep.own_vehicle}}) put(value);
    put(sweep.stride);
    put(sweep.count);
    put(sweep.points, static_cast<size_t>(sweep.count) * static_cast<size_t>(sweep.stride));
  }
  for (size_t view = 0; view < info.cameras.size(); ++view) {
    put(calibration.intrinsics + 9 * view, 9);
    put(calibration.camera_to_ego + 16 * view, 16);
    put(frame.images[view], info.image_bytes());
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 5) return 2;
  const vexkd::Info info = make_info(arguments + 2, count - 5);
  const Recording recording(arguments[1], "", info, 1000);
  vexkd::Frame frame(info);
  vexkd::Calibration calibration(info);
  put(static_cast<double>(recording.size()));
  for (size_t i = 0; i < recording.size(); ++i) {
    recording.fill(i, frame);
    recording.fill(i, calibration);
    if (!frame.check().ok() || !calibration.check().ok()) return 1;
    put(recording.time(i));
    dump(frame.raw(), calibration.raw(), info);
  }
  return 0;
}
