// Opens a detection bundle, shows it one made-up frame and prints its boxes: minimal BUNDLE [LIBONNXRUNTIME]
#include <cstdio>
#include <vector>

#include "vexkd/perception.hpp"

namespace {

int fail(const vexkd::Status& status) {
  std::fprintf(stderr, "minimal: %s\n", status.message().c_str());
  return 1;
}

// A wall of 200 points, 4 m ahead: x, y, z, intensity, age.
std::vector<float> made_up_points() {
  std::vector<float> points;
  for (int i = 0; i < 200; ++i) {
    points.insert(points.end(), {4.0f, -2.5f + 0.025f * static_cast<float>(i), 0.5f, 0.75f, 0.0f});
  }
  return points;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) return std::fprintf(stderr, "usage: minimal BUNDLE [LIBONNXRUNTIME]\n"), 2;
  vexkd::Options options;
  if (count > 2) options.onnxruntime = arguments[2];
  vexkd::Result<vexkd::Perception> opened = vexkd::Perception::open(arguments[1], options);
  if (!opened.ok()) return fail(opened.status());
  vexkd::Perception& model = *opened;
  const vexkd::Info& info = model.info();
  std::printf("%s (%s) on %s\n", info.name.c_str(), info.precision.c_str(), info.backend.c_str());

  vexkd::Calibration calibration(info);
  vexkd::Frame frame(info);
  const std::vector<float> points = made_up_points();
  frame.set_points(points);
  const std::vector<uint8_t> grey(info.image_bytes(), 128);
  const double focal = info.image_width / 2.0, u = info.image_width / 2.0, v = info.image_height / 2.0;
  for (const std::string& camera : info.cameras) {  // all of them 1.5 m up, looking ahead
    calibration.set_camera(camera, {focal, 0, u, 0, focal, v, 0, 0, 1},
                           {0, 0, 1, 0, -1, 0, 0, 0, 0, -1, 0, 1.5, 0, 0, 0, 1});
    frame.set_image(camera, grey);
  }
  const vexkd::Status calibrated = model.update_calibration(calibration);
  if (!calibrated.ok()) return fail(calibrated);

  vexkd::Result<vexkd::Detections> found = model.detect(frame);
  if (!found.ok()) return fail(found.status());
  for (const vexkd::Box& box : found->boxes) {
    std::printf("%s %.4f at %.4f %.4f %.4f m, size %.4f %.4f %.4f m, yaw %.4f\n", info.class_names[box.label].c_str(),
                box.score, box.x, box.y, box.z, box.length, box.width, box.height, box.yaw);
  }
  std::printf("%zu boxes in %.1f ms\n", found->boxes.size(), found->times.total * 1e3);
  return 0;
}
