// Counts what libvexkd allocates: allocation_check BUNDLE LIBONNXRUNTIME prints the allocations that opening the bundle
// made and those of 50 frames after ten, with moving calibration and sweeps. Those of ONNX Runtime do not count: an
// allocation is ours if it returns into our library.
#include <dlfcn.h>
#include <link.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "vexkd/perception.h"

namespace {

uintptr_t g_begin = 0, g_end = 0;
std::atomic<long> g_ours{0};

void count(const void* caller) {
  const auto address = reinterpret_cast<uintptr_t>(caller);
  if (address >= g_begin && address < g_end) g_ours.fetch_add(1, std::memory_order_relaxed);
}

int find_library(dl_phdr_info* info, size_t, void*) {
  if (std::strstr(info->dlpi_name, "libvexkd.so") == nullptr) return 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& part = info->dlpi_phdr[i];
    if (part.p_type != PT_LOAD || (part.p_flags & PF_X) == 0) continue;
    g_begin = info->dlpi_addr + part.p_vaddr;
    g_end = g_begin + part.p_memsz;
  }
  return 1;
}

void must(vexkd_status status) {
  if (status == VEXKD_OK) return;
  std::fprintf(stderr, "status %d: %s\n", status, vexkd_last_message());
  std::exit(1);
}

}  // namespace

extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

void* malloc(size_t size) {
  count(__builtin_return_address(0));
  return __libc_malloc(size);
}
void* calloc(size_t number, size_t size) {
  count(__builtin_return_address(0));
  return __libc_calloc(number, size);
}
void* realloc(void* old, size_t size) {
  count(__builtin_return_address(0));
  return __libc_realloc(old, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  count(__builtin_return_address(0));
  return __libc_memalign(alignment, size);
}
}

int main(int, char** arguments) {
  dl_iterate_phdr(find_library, nullptr);
  vexkd_perception_options options;
  must(vexkd_perception_default_options(&options, sizeof options));
  options.backend = VEXKD_BACKEND_ONNXRUNTIME_CPU;
  options.threads = 2;
  options.onnxruntime = arguments[2];
  vexkd_perception* model = nullptr;
  must(vexkd_perception_open(arguments[1], &options, &model));
  const long opening = g_ours;
  vexkd_perception_info info{};
  info.struct_size = sizeof info;
  must(vexkd_perception_describe(model, &info));

  const auto views = static_cast<size_t>(info.views);
  std::vector<double> intrinsics, poses;
  for (size_t view = 0; view < views; ++view) {
    const double camera[9] = {30, 0, 32, 0, 30, 16, 0, 0, 1};
    const double pose[16] = {0, 0, 1, 0, -1, 0, 0, 0, 0, -1, 0, 1.5, 0, 0, 0, 1};
    intrinsics.insert(intrinsics.end(), camera, camera + 9);
    poses.insert(poses.end(), pose, pose + 16);
  }
  // Two buffers in turn, as a driver of cameras has them.
  std::vector<uint8_t> images[2];
  for (auto& block : images) block.resize(views * static_cast<size_t>(info.image_height * info.image_width) * 3, 100);
  std::vector<float> points(400 * 5);
  for (size_t i = 0; i < points.size(); ++i) points[i] = static_cast<float>(i % 97) / 16 - 3;
  const double identity[16] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
  const vexkd_sweep sweeps[2] = {{points.data(), 200, 5, 255, 0, identity, 1},
                                 {points.data() + 1000, 200, 5, 255, 0.05F, identity, 1}};
  std::vector<vexkd_box> boxes(static_cast<size_t>(info.max_boxes));
  std::vector<float> logits(static_cast<size_t>(info.classes) * static_cast<size_t>(info.map_height * info.map_width));

  long before = 0;
  for (int frame_number = 0; frame_number < 60; ++frame_number) {
    if (frame_number == 10) before = g_ours;
    if (views > 0) {
      for (size_t view = 0; view < views; ++view) poses[view * 16 + 11] = 1.5 + 0.001 * frame_number;
      const vexkd_calibration calibration{sizeof calibration, info.views, intrinsics.data(), poses.data()};
      must(vexkd_perception_update_calibration(model, &calibration));
    }
    vexkd_frame frame{};
    frame.struct_size = sizeof frame;
    frame.image_block = images[frame_number % 2].data();
    frame.sweeps = sweeps;
    frame.sweep_count = 2;
    if (info.task == VEXKD_DETECTION) {
      vexkd_detections found{};
      found.struct_size = sizeof found;
      found.boxes = boxes.data();
      found.capacity = info.max_boxes;
      must(vexkd_perception_detect(model, &frame, &found));
    } else {
      vexkd_map found{};
      found.struct_size = sizeof found;
      found.logits = logits.data();
      found.capacity = logits.size();
      must(vexkd_perception_segment(model, &frame, &found));
    }
  }
  std::printf("opening %ld, fifty frames %ld\n", opening, g_ours - before);
  vexkd_perception_close(model);
  return 0;
}
