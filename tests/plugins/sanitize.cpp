// The CPU kernels under sanitizers: every entry point with hostile arguments, and with valid arguments whose contents
// are hostile, in buffers of exactly the size the headers ask for. Prints what failed; exit status 0 if nothing did.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "cpus.h"
#include "vexkd/accumulate_sweeps.h"
#include "vexkd/bev_pool.h"
#include "vexkd/camera_rays.h"
#include "vexkd/frustum_index.h"
#include "vexkd/nms.h"
#include "vexkd/pillar_max.h"
#include "vexkd/prepare_images.h"
#include "vexkd/select_boxes.h"
#include "vexkd/voxelize.h"

namespace {

int failures = 0;

void expect(bool condition, const char* what, int line) {
  if (condition) return;
  std::printf("line %d: %s\n", line, what);
  ++failures;
}
#define EXPECT(condition) expect((condition), #condition, __LINE__)

std::mt19937 random_bits(1);

int32_t pick(int32_t low, int32_t high) { return std::uniform_int_distribution<int32_t>(low, high)(random_bits); }

// Any bit pattern at times, near values mostly.
float hostile_float(float low, float high) {
  const float strange[] = {NAN, INFINITY, -INFINITY, 3e38F, -3e38F, 1e-45F, -0.0F};
  if (pick(0, 9) == 0) return strange[pick(0, 6)];
  return std::uniform_real_distribution<float>(low, high)(random_bits);
}

int32_t hostile_int(int32_t low, int32_t high) {
  const int32_t strange[] = {INT32_MIN, INT32_MAX, -1, low - 1, high + 1};
  return pick(0, 9) == 0 ? strange[pick(0, 4)] : pick(low, high);
}

// Heap memory of exactly `count` elements, so that one byte too far is seen.
template <typename T>
struct Array {
  explicit Array(size_t count) : size(count), data(new T[count]()) {}
  Array(size_t count, const std::function<T()>& make) : Array(count) {
    for (size_t i = 0; i < count; ++i) data[i] = make();
  }
  operator T*() { return data.get(); }
  size_t size;
  std::unique_ptr<T[]> data;
};

Array<float> floats(size_t count, float low, float high) {
  return Array<float>(count, [=] { return hostile_float(low, high); });
}
Array<uint16_t> halves(size_t count) {
  return Array<uint16_t>(count, [] { return static_cast<uint16_t>(random_bits()); });
}
Array<int32_t> ints(size_t count, int32_t low, int32_t high) {
  return Array<int32_t>(count, [=] { return hostile_int(low, high); });
}

struct Workspace {
  explicit Workspace(size_t bytes) : size(bytes), data(bytes == 0 ? nullptr : std::aligned_alloc(64, bytes)) {}
  ~Workspace() { std::free(data); }
  size_t size;
  void* data;
};

vexkd_grid grid_of(float x, float y, float cell_x, float cell_y) {
  const float range[6] = {-x, -y, -3, x, y, 3}, cell[2] = {cell_x, cell_y};
  vexkd_grid grid;
  EXPECT(vexkd_make_grid(range, cell, &grid) == VEXKD_OK);
  return grid;
}

void voxelize(int32_t threads) {
  const int32_t batch = pick(1, 3), capacity = pick(0, 700);
  const vexkd_grid grid = grid_of(4, 2, 0.5F, 0.25F);
  const size_t rows = static_cast<size_t>(batch) * capacity;
  auto points = floats(rows * 5, -5, 5);
  auto counts = ints(batch, 0, capacity);
  Array<int32_t> cells(rows);
  size_t size;
  EXPECT(vexkd_voxelize_cpu_workspace(batch, capacity, &grid, &size) == VEXKD_OK);
  Workspace workspace((size + 63) / 64 * 64);
  Array<float> features(rows * 11);
  Array<uint16_t> half_features(rows * 11);
  EXPECT(vexkd_voxelize_cpu(points, counts, batch, capacity, &grid, VEXKD_F32, features, cells, threads, workspace.data,
                            workspace.size) == VEXKD_OK);
  EXPECT(vexkd_voxelize_cpu(points, counts, batch, capacity, &grid, VEXKD_F16, half_features, cells, threads, nullptr,
                            0) == VEXKD_OK);
  for (size_t i = 0; i < rows; ++i) EXPECT(cells[i] >= -1 && cells[i] < batch * grid.height * grid.width);
}

void pillar_max(int32_t threads) {
  const int32_t points = pick(0, 300), channels = pick(0, 70), batch = pick(1, 2), height = pick(1, 9);
  const int32_t width = pick(1, 70), all = batch * height * width;
  auto cells = ints(points, 0, all - 1);
  const size_t outputs = static_cast<size_t>(all) * channels, inputs = static_cast<size_t>(points) * channels;
  size_t size;
  EXPECT(vexkd_pillar_max_cpu_workspace(VEXKD_F32, points, channels, batch, height, width, 1, &size) == VEXKD_OK);
  Workspace workspace((size + 63) / 64 * 64);
  auto features = floats(inputs, -5, 5);
  Array<float> bev(outputs), grad(inputs);
  Array<int32_t> argmax(outputs);
  EXPECT(vexkd_pillar_max_cpu(features, VEXKD_F32, cells, points, channels, batch, height, width, bev, argmax, threads,
                              workspace.data, workspace.size) == VEXKD_OK);
  EXPECT(vexkd_pillar_max_backward_cpu(bev, VEXKD_F32, argmax, points, channels, batch, height, width, grad, threads) ==
         VEXKD_OK);
  auto half_features = halves(inputs);
  Array<uint16_t> half_bev(outputs), half_grad(inputs);
  EXPECT(vexkd_pillar_max_cpu(half_features, VEXKD_F16, cells, points, channels, batch, height, width, half_bev,
                              nullptr, threads, nullptr, 0) == VEXKD_OK);
  // A forward call never gives such an argmax; one thread, because rows may repeat.
  auto wild = ints(outputs, 0, points);
  EXPECT(vexkd_pillar_max_backward_cpu(half_bev, VEXKD_F16, wild, points, channels, batch, height, width, half_grad,
                                       1) == VEXKD_OK);
}

void bev_pool(int32_t threads) {
  const vexkd_bev_pool_shape shape = {pick(1, 3),   pick(1, 5), pick(1, 4), pick(1, 7), pick(0, 90),
                                      pick(0, 400), pick(1, 2), pick(1, 5), pick(1, 20)};
  const size_t pixels = static_cast<size_t>(shape.views) * shape.feature_height * shape.feature_width;
  const size_t frustum = pixels * shape.depths, cells = static_cast<size_t>(shape.batch) * shape.height * shape.width;
  auto points = ints(shape.points, 0, static_cast<int32_t>(frustum) - 1);
  auto starts = ints(cells + 1, 0, shape.points);
  size_t size;
  EXPECT(vexkd_bev_pool_backward_cpu_workspace(VEXKD_F32, &shape, &size) == VEXKD_OK);
  Workspace workspace((size + 63) / 64 * 64);
  auto depth = floats(frustum, 0, 1), context = floats(pixels * shape.channels, -1, 1);
  Array<float> bev(cells * shape.channels), grad_depth(frustum), grad_context(pixels * shape.channels);
  EXPECT(vexkd_bev_pool_cpu(depth, context, VEXKD_F32, points, starts, &shape, bev, threads, workspace.data,
                            workspace.size) == VEXKD_OK);
  EXPECT(vexkd_bev_pool_backward_cpu(bev, depth, context, VEXKD_F32, points, starts, &shape, grad_depth, grad_context,
                                     threads, workspace.data, workspace.size) == VEXKD_OK);
  auto half_depth = halves(frustum), half_context = halves(pixels * shape.channels);
  Array<uint16_t> half_bev(cells * shape.channels), half_grad(pixels * shape.channels);
  EXPECT(vexkd_bev_pool_cpu(half_depth, half_context, VEXKD_F16, points, starts, &shape, half_bev, threads, nullptr,
                            0) == VEXKD_OK);
  EXPECT(vexkd_bev_pool_backward_cpu(half_bev, half_depth, half_context, VEXKD_F16, points, starts, &shape, nullptr,
                                     half_grad, threads, nullptr, 0) == VEXKD_OK);
}

void frustum_index(int32_t threads) {
  const int32_t batch = pick(1, 2);
  const vexkd_frustum_shape shape = {batch, batch * pick(1, 3), pick(1, 6), pick(1, 5), pick(1, 40), pick(1, 16)};
  const vexkd_grid grid = grid_of(4, 2, 0.5F, 0.25F);
  auto rays = floats(static_cast<size_t>(shape.views) * 9, -0.2F, 0.2F), depths = floats(shape.depths, 0, 5);
  auto origins = floats(static_cast<size_t>(shape.views) * 3, -1, 1);
  const size_t frustum = static_cast<size_t>(shape.views) * shape.depths * shape.height * shape.width;
  Array<int32_t> points(frustum), starts(static_cast<size_t>(batch) * grid.height * grid.width + 1);
  size_t size;
  EXPECT(vexkd_frustum_index_cpu_workspace(&shape, &grid, &size) == VEXKD_OK);
  Workspace workspace((size + 63) / 64 * 64);
  EXPECT(vexkd_frustum_index_cpu(rays, origins, depths, &shape, &grid, points, starts, threads, workspace.data,
                                 workspace.size) == VEXKD_OK);
  for (size_t i = 0; i < frustum; ++i) {
    const bool listed = static_cast<int32_t>(i) < starts[starts.size - 1];
    EXPECT(listed == (points[i] >= 0) && points[i] < static_cast<int32_t>(frustum));
  }
}

void nms(int32_t threads) {
  const int32_t count = pick(0, 60), groups = pick(0, 3);
  auto boxes = floats(static_cast<size_t>(count) * 9, -3, 5), scores = floats(count, 0, 1);
  auto of = ints(count, 0, groups);
  auto thresholds = floats(groups, 0, 1);
  Array<int32_t> kept(count), kept_count(1);
  for (int32_t overlap : {VEXKD_CIRCLE, VEXKD_ROTATED_IOU}) {
    EXPECT(vexkd_nms_cpu(boxes, scores, of, count, overlap, thresholds, groups, hostile_float(0, 1), kept, kept_count,
                         nullptr, 0) == VEXKD_OK);
    for (int32_t i = 0; i < count; ++i) EXPECT((kept[i] >= 0) == (i < kept_count[0]) && kept[i] < count);
  }
  Array<float> iou(static_cast<size_t>(count) * count);
  EXPECT(vexkd_rotated_iou_cpu(boxes, count, boxes, count, iou, threads) == VEXKD_OK);
  for (size_t i = 0; i < iou.size; ++i) EXPECT(iou[i] >= 0 && iou[i] < 1.01F);
}

void prepare_images(int32_t threads) {
  const vexkd_image_shape shape = {pick(0, 3), pick(1, 40), pick(1, 60), pick(1, 30), pick(1, 700)};
  Array<uint8_t> images(static_cast<size_t>(shape.views) * shape.raw_height * shape.raw_width * 3);
  const float mean[3] = {1, 2, 3}, deviation[3] = {1, 2, 3};
  Array<float> prepared(static_cast<size_t>(shape.views) * shape.height * shape.width * 3);
  EXPECT(vexkd_prepare_images_cpu(images, &shape, mean, deviation, VEXKD_F32, VEXKD_PLANAR, prepared, threads) ==
         VEXKD_OK);
  struct alignas(16) Pixel {
    uint16_t channels[8];
  };
  Array<Pixel> packed(static_cast<size_t>(shape.views) * shape.height * shape.width);
  EXPECT(vexkd_prepare_images_cpu(images, &shape, mean, deviation, VEXKD_F16, VEXKD_PACKED8, packed, threads) ==
         VEXKD_OK);
}

void camera_rays() {
  const int32_t raw[2] = {hostile_int(1, 40), hostile_int(1, 40)}, image[2] = {hostile_int(1, 40), hostile_int(1, 40)};
  Array<double> transform(9);
  const vexkd_status transformed = vexkd_image_transform(raw, image, transform);
  EXPECT((transformed == VEXKD_OK) == (transform[8] == 1));
  const size_t views = static_cast<size_t>(pick(0, 3));
  const auto wild = [](size_t count) { return Array<double>(count, [] { return hostile_float(-2, 2); }); };
  auto intrinsics = wild(views * 9), transforms = wild(views * 9), poses = wild(views * 16);
  // Mostly sound poses: beside a wild one nothing is composed.
  for (size_t i = 0; i < poses.size && pick(0, 99) > 0; ++i) poses[i] = i % 16 % 5 == 0 ? 1 : 0;
  Array<float> rays(views * 9), origins(views * 3);
  const vexkd_status status =
      vexkd_camera_rays(intrinsics, poses, transforms, static_cast<int32_t>(views), rays, origins);
  EXPECT(status == VEXKD_OK || status == VEXKD_INVALID_ARGUMENT);
  for (size_t i = 0; i < rays.size; ++i) EXPECT(std::isfinite(rays[i]));
}

void accumulate_sweeps(int32_t threads) {
  static const double pose[16] = {0, -1, 0, 3, 1, 0, 0, -4, 0, 0, 1, 2, 0, 0, 0, 1};
  std::vector<Array<float>> clouds;
  std::vector<vexkd_sweep> sweeps;
  int32_t total = 0;
  for (int i = pick(0, 4); i > 0; --i) {
    const int32_t count = pick(0, 1) == 0 ? pick(0, 9) : pick(0, 20000), stride = pick(4, 6);
    clouds.push_back(floats(static_cast<size_t>(count) * stride, -2, 2));
    sweeps.push_back({clouds.back(), count, stride, 255, 0.1F, pose, 1});
    total += count;
  }
  const int32_t capacity = pick(0, std::max(total, 1) + 3);
  Array<float> points(static_cast<size_t>(capacity) * 5), again(static_cast<size_t>(capacity) * 5);
  Array<int32_t> count(1), dropped(1);
  EXPECT(vexkd_accumulate_sweeps_cpu(sweeps.data(), static_cast<int32_t>(sweeps.size()), capacity, points, count,
                                     dropped, threads) == VEXKD_OK);
  EXPECT(count[0] >= 0 && count[0] <= capacity && dropped[0] >= 0 && count[0] + dropped[0] <= total);
  EXPECT(vexkd_pad_points(points, capacity, capacity, again, count, dropped) == VEXKD_OK);
  EXPECT(count[0] == capacity && dropped[0] == 0);
}

void select_boxes() {
  const int32_t count = pick(0, 60), classes = pick(0, 5);
  auto boxes = floats(static_cast<size_t>(count) * 9, -3, 3), scores = floats(count, 0, 1);
  auto labels = ints(count, 0, classes);
  Array<vexkd_class_rule> rules(
      classes, [] { return vexkd_class_rule{pick(0, 2), pick(0, 1), hostile_float(0, 3), hostile_float(0, 3)}; });
  Array<int32_t> kept(count), kept_count(1);
  EXPECT(vexkd_select_boxes_cpu(boxes, scores, labels, count, hostile_float(0, 1), rules, classes, kept, kept_count,
                                nullptr, 0) == VEXKD_OK);
  for (int32_t i = 0; i < count; ++i) EXPECT((kept[i] >= 0) == (i < kept_count[0]) && kept[i] < count);
}

// What a cgroup's cpu.max says, and what it never should.
void quotas() {
  const auto is = [](const char* text, int32_t cpus) { return vexkd::quota_of(text) == std::optional<int32_t>(cpus); };
  EXPECT(is("200000 100000\n", 2) && is("150000 100000", 2) && is("1000 100000", 1) && is("100000 100000", 1));
  EXPECT(is("100001 100000", 2) && is("9223372036854775807 1", INT32_MAX) && is(" 50000\t20000 ", 3));
  for (const char* none :
       {"max 100000\n", "", "\n", "200000", "-1 100000", "0 100000", "100000 0", "100000 -1", "x y"}) {
    EXPECT(!vexkd::quota_of(none));
  }
  EXPECT(vexkd::available_threads() >= 1);
}

// Sizes from a list of extremes in every place, buffers far too small: only a refusal keeps the kernels off them.
void extreme_sizes() {
  const int32_t extremes[] = {INT32_MIN, -1, INT32_MAX, 1 << 30, 46341};
  alignas(64) static float memory[16][64];
  const vexkd_grid grid = grid_of(4, 2, 0.5F, 0.25F);
  auto* ints = reinterpret_cast<int32_t*>(memory);
  for (int32_t a : extremes) {
    auto* doubles = reinterpret_cast<double*>(memory);
    EXPECT(vexkd_camera_rays(doubles, doubles + 64, doubles + 128, a, memory[6], memory[7]) != VEXKD_OK);
    for (int32_t b : extremes) {
      EXPECT(vexkd_voxelize_cpu(memory[0], ints, a, b, &grid, VEXKD_F32, memory[2], ints + 512, 1, nullptr, 0) !=
             VEXKD_OK);
      EXPECT(vexkd_pillar_max_cpu(memory[0], VEXKD_F32, ints, a, b, 1, 1, 1, memory[4], nullptr, 1, nullptr, 0) !=
             VEXKD_OK);
      EXPECT(vexkd_pillar_max_cpu(memory[0], VEXKD_F32, ints, 1, 1, 1, a, b, memory[4], nullptr, 1, nullptr, 0) !=
             VEXKD_OK);
      const vexkd_bev_pool_shape pool = {1, 1, a, b, 1, 1, 1, 1, 1}, cells = {1, 1, 1, 1, 1, 1, 1, a, b};
      EXPECT(vexkd_bev_pool_cpu(memory[0], memory[1], VEXKD_F32, ints + 128, ints + 192, &pool, memory[4], 1, nullptr,
                                0) != VEXKD_OK);
      EXPECT(vexkd_bev_pool_cpu(memory[0], memory[1], VEXKD_F32, ints + 128, ints + 192, &cells, memory[4], 1, nullptr,
                                0) != VEXKD_OK);
      const vexkd_frustum_shape frustum = {1, 1, 1, a, b, 1};
      EXPECT(vexkd_frustum_index_cpu(memory[0], memory[1], memory[2], &frustum, &grid, ints + 512, ints + 576, 1,
                                     nullptr, 0) != VEXKD_OK);
      EXPECT(vexkd_rotated_iou_cpu(memory[0], a, memory[1], b, memory[4], 1) != VEXKD_OK);
      const vexkd_sweep sweep = {memory[0], a, b, 1, 0, reinterpret_cast<double*>(memory[1]), 0};
      EXPECT(vexkd_accumulate_sweeps_cpu(&sweep, 1, 4, memory[4], ints + 512, ints + 576, 1) != VEXKD_OK);
      EXPECT(vexkd_pad_points(memory[0], a, b, memory[4], ints + 512, ints + 576) != VEXKD_OK);
      EXPECT(vexkd_select_boxes_cpu(memory[0], memory[1], ints + 128, a, 0,
                                    reinterpret_cast<vexkd_class_rule*>(memory[4]), b, ints + 512, ints + 576, nullptr,
                                    0) != VEXKD_OK);
      const vexkd_image_shape image = {1, a, b, 2, 2};
      EXPECT(vexkd_prepare_images_cpu(reinterpret_cast<uint8_t*>(memory), &image, memory[1], memory[2], VEXKD_F32,
                                      VEXKD_PLANAR, memory[4], 1) != VEXKD_OK);
    }
  }
}

// Misaligned, overlapping and null pointers, one at a time.
void extreme_pointers() {
  alignas(64) static float memory[32][256];
  const vexkd_grid grid = grid_of(1, 1, 0.5F, 0.5F);
  auto* bytes = reinterpret_cast<char*>(memory);
  auto at = [&](int block, int offset) { return static_cast<void*>(bytes + block * 1024 + offset); };
  void* good[4] = {at(0, 0), at(4, 0), at(8, 0), at(12, 0)};
  for (int place = 0; place < 4; ++place) {
    for (void* bad : {static_cast<void*>(nullptr), at(16, 1), at(16, 2), reinterpret_cast<void*>(UINTPTR_MAX - 3)}) {
      void* p[4] = {good[0], good[1], good[2], good[3]};
      p[place] = bad;
      EXPECT(vexkd_voxelize_cpu(static_cast<float*>(p[0]), static_cast<int32_t*>(p[1]), 1, 4, &grid, VEXKD_F32, p[2],
                                static_cast<int32_t*>(p[3]), 2, nullptr, 0) != VEXKD_OK);
    }
    if (place < 2) continue;
    for (int other = 0; other < 4; ++other) {
      if (other == place) continue;
      void* p[4] = {good[0], good[1], good[2], good[3]};
      p[place] = static_cast<char*>(good[other]);
      EXPECT(vexkd_voxelize_cpu(static_cast<float*>(p[0]), static_cast<int32_t*>(p[1]), 1, 4, &grid, VEXKD_F32, p[2],
                                static_cast<int32_t*>(p[3]), 2, nullptr, 0) == VEXKD_OVERLAP);
    }
  }
}

void rounds(int count) {
  for (int round = 0; round < count; ++round) {
    for (int32_t threads : {1, 3}) {
      voxelize(threads);
      pillar_max(threads);
      bev_pool(threads);
      frustum_index(threads);
      nms(threads);
      prepare_images(threads);
      accumulate_sweeps(threads);
    }
    camera_rays();
    select_boxes();
  }
}

// Many callers at once: the pool serves one, the others work by themselves.
void callers() {
  const vexkd_grid grid = grid_of(4, 2, 0.5F, 0.25F);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&grid] {
      std::vector<float> points(5 * 9000, 0.25F), features(11 * 9000);
      std::vector<int32_t> cells(9000);
      const int32_t count = 9000;
      for (int round = 0; round < 10; ++round) {
        if (vexkd_voxelize_cpu(points.data(), &count, 1, count, &grid, VEXKD_F32, features.data(), cells.data(), 3,
                               nullptr, 0) != VEXKD_OK) {
          std::abort();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

int main(int argc, char** argv) {
  extreme_sizes();
  extreme_pointers();
  quotas();
  rounds(argc > 1 ? std::atoi(argv[1]) : 60);
  callers();
  std::printf("%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
