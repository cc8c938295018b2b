// Random sensor data and calibration for the entry points between sensors and boxes: fuzz_sensors INPUTS SEED. Each
// input goes through camera_rays and frustum_index, accumulate_sweeps, voxelize and select_boxes, in buffers of their
// own exact size, so that a sanitizer sees the first byte beyond. Prints how many calibrations and clouds were taken.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "vexkd/accumulate_sweeps.h"
#include "vexkd/camera_rays.h"
#include "vexkd/frustum_index.h"
#include "vexkd/select_boxes.h"
#include "vexkd/voxelize.h"

namespace {

std::mt19937_64 g_random;

int below(int limit) { return static_cast<int>(g_random() % static_cast<uint64_t>(limit)); }

// Mostly plausible, sometimes at an edge, sometimes any bits at all.
double number(double scale) {
  static const double kEdges[] = {
      0, -0.0, 1, -1, 1e-320, 1e300, -1e300, 1e38, 2147483648.0, std::numeric_limits<double>::infinity(), std::nan("")};
  const int kind = below(40);
  if (kind == 0) return kEdges[below(static_cast<int>(std::size(kEdges)))];
  if (kind == 1) {
    const uint64_t bits = g_random();
    double value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  return scale * (static_cast<double>(g_random() >> 11) * 0x1p-52 - 1);
}

std::vector<float> floats(size_t count, double scale) {
  std::vector<float> values(count);
  for (float& value : values) {
    const double wide = number(scale);
    value = std::fabs(wide) > 3e38
                ? std::copysign(std::numeric_limits<float>::infinity(), static_cast<float>(wide < 0 ? -1 : 1))
                : static_cast<float>(wide);
  }
  return values;
}

// A pose about the vertical axis, of which one value in some is anything.
std::vector<double> pose() {
  const double yaw = 3 * (static_cast<double>(g_random() >> 11) * 0x1p-52 - 1);
  std::vector<double> matrix = {
      std::cos(yaw), -std::sin(yaw), 0, 1, std::sin(yaw), std::cos(yaw), 0, 2, 0, 0, 1, 1.5, 0, 0, 0, 1};
  if (below(3) == 0) matrix[static_cast<size_t>(below(16))] = number(2);
  return matrix;
}

constexpr int kViews = 2, kDepths = 5, kHeight = 3, kWidth = 4;

bool fuzz_calibration(const vexkd_grid& grid) {
  std::vector<double> intrinsics, poses, transforms;
  for (int view = 0; view < kViews; ++view) {
    std::vector<double> camera = {50, 0, 30, 0, 50, 20, 0, 0, 1};
    if (below(2) == 0) camera[static_cast<size_t>(below(9))] = number(60);
    const std::vector<double> placed = pose();
    const int32_t raw[2] = {1 + below(300), 1 + below(300)}, made[2] = {1 + below(64), 1 + below(64)};
    std::vector<double> transform(9, 0);
    if (vexkd_image_transform(raw, made, transform.data()) != VEXKD_OK) transform[below(9)] = number(2);
    intrinsics.insert(intrinsics.end(), camera.begin(), camera.end());
    poses.insert(poses.end(), placed.begin(), placed.end());
    transforms.insert(transforms.end(), transform.begin(), transform.end());
  }
  std::vector<float> rays(kViews * 9), origins(kViews * 3), depths = floats(kDepths, 20);
  const bool taken = vexkd_camera_rays(intrinsics.data(), poses.data(), transforms.data(), kViews, rays.data(),
                                       origins.data()) == VEXKD_OK;
  if (!taken) rays = floats(rays.size(), 2), origins = floats(origins.size(), 3);
  const vexkd_frustum_shape shape = {1, kViews, kDepths, kHeight, kWidth, 8};
  std::vector<int32_t> points(kViews * kDepths * kHeight * kWidth),
      starts(static_cast<size_t>(grid.height * grid.width) + 1);
  if (vexkd_frustum_index_cpu(rays.data(), origins.data(), depths.data(), &shape, &grid, points.data(), starts.data(),
                              1, nullptr, 0) != VEXKD_OK) {
    std::abort();
  }
  if (starts.front() != 0 || starts.back() < 0 || starts.back() > static_cast<int32_t>(points.size())) std::abort();
  return taken;
}

bool fuzz_cloud(const vexkd_grid& grid) {
  const int32_t turns = below(4), capacity = below(40), stride = 4 + below(3);
  std::vector<std::vector<float>> clouds;
  std::vector<std::vector<double>> poses;
  std::vector<vexkd_sweep> sweeps;
  for (int32_t turn = 0; turn < turns; ++turn) {
    const int32_t count = below(30);
    clouds.push_back(floats(static_cast<size_t>(count * stride), 12));
    poses.push_back(pose());
    sweeps.push_back({clouds.back().data(), count, stride, floats(1, 300)[0], floats(1, 1)[0], poses.back().data(),
                      floats(1, 2)[0]});
  }
  std::vector<float> points(static_cast<size_t>(capacity) * VEXKD_POINT_SIZE);
  int32_t count = 0, dropped = 0;
  const bool taken = vexkd_accumulate_sweeps_cpu(sweeps.data(), turns, capacity, points.data(), &count, &dropped,
                                                 1 + below(2)) == VEXKD_OK;
  if (count < 0 || count > capacity || dropped < 0) std::abort();
  std::vector<float> features(static_cast<size_t>(capacity) * VEXKD_POINT_FEATURES);
  std::vector<int32_t> cells(static_cast<size_t>(capacity));
  if (vexkd_voxelize_cpu(points.data(), &count, 1, capacity, &grid, VEXKD_F32, features.data(), cells.data(), 1,
                         nullptr, 0) != VEXKD_OK) {
    std::abort();
  }
  for (const int32_t cell : cells) {
    if (cell < -1 || cell >= grid.height * grid.width) std::abort();
  }
  return taken;
}

void fuzz_boxes() {
  const int32_t count = below(12), classes = 1 + below(4);
  const std::vector<float> boxes = floats(static_cast<size_t>(count) * 9, 5),
                           scores = floats(static_cast<size_t>(count), 1);
  std::vector<int32_t> labels(static_cast<size_t>(count)), kept(static_cast<size_t>(count));
  std::vector<vexkd_class_rule> rules(static_cast<size_t>(classes));
  for (int32_t& label : labels) label = below(50) == 0 ? static_cast<int32_t>(g_random()) : below(classes);
  for (vexkd_class_rule& rule : rules) {
    const std::vector<float> numbers = floats(2, 4);
    const int32_t group = below(50) == 0 ? static_cast<int32_t>(g_random()) : below(3);
    rule = {group, below(50) == 0 ? static_cast<int32_t>(g_random()) : below(2), numbers[0], numbers[1]};
  }
  int32_t kept_count = 0;
  const vexkd_status status = vexkd_select_boxes_cpu(boxes.data(), scores.data(), labels.data(), count, floats(1, 1)[0],
                                                     rules.data(), classes, kept.data(), &kept_count, nullptr, 0);
  if (status == VEXKD_OK && (kept_count < 0 || kept_count > count)) std::abort();
}

}  // namespace

int main(int, char** arguments) {
  const long inputs = std::atol(arguments[1]);
  g_random.seed(static_cast<uint64_t>(std::atol(arguments[2])));
  const float range[6] = {-8, -4, -3, 8, 4, 3}, cell[2] = {1, 1};
  vexkd_grid grid;
  if (vexkd_make_grid(range, cell, &grid) != VEXKD_OK) return 1;
  long calibrations = 0, clouds = 0;
  for (long i = 0; i < inputs; ++i) {
    calibrations += fuzz_calibration(grid) ? 1 : 0;
    clouds += fuzz_cloud(grid) ? 1 : 0;
    fuzz_boxes();
  }
  std::printf("%ld inputs: %ld calibrations and %ld clouds taken\n", inputs, calibrations, clouds);
  return 0;
}
