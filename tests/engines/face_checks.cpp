// What the C++ face promises, checked against a detection bundle of tests/tiny_bundles.py (its boxes are the first four
// points, its scores their intensity): face_checks BUNDLE LIBONNXRUNTIME; prints each broken promise.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <type_traits>
#include <vector>

#include "vexkd/perception.hpp"
#if __cplusplus >= 202002L
#include <span>
#endif

static int allocations = 0;

void* operator new(size_t size) {
  ++allocations;
  return std::malloc(size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace {

using vexkd::Span;
template <typename From, typename To>
constexpr bool converts = std::is_convertible_v<From, To>;

static_assert(converts<std::vector<float>&, Span<float>> && converts<const std::vector<float>&, Span<const float>>);
static_assert(converts<std::array<float, 3>&, Span<const float>> && converts<float (&)[3], Span<const float>>);
static_assert(converts<Span<float>, Span<const float>> && !converts<Span<const float>, Span<float>>);
static_assert(!converts<const std::vector<float>&, Span<float>> && !converts<std::vector<double>&, Span<const float>>);
static_assert(!converts<std::vector<float>, Span<const float>>, "a temporary's memory is gone with it");
static_assert(!converts<std::array<float, 3>, Span<const float>>);
#if __cplusplus >= 202002L
static_assert(converts<std::span<float>, Span<const float>> && converts<std::span<const float>, Span<const float>>);
#endif
static_assert(!std::is_copy_constructible_v<vexkd::Perception> && !std::is_copy_assignable_v<vexkd::Perception>);
static_assert(std::is_nothrow_move_constructible_v<vexkd::Perception>);
static_assert(!std::is_copy_constructible_v<vexkd::Frame>);

int broken = 0;

void check(bool kept, const char* promise) {
  if (kept) return;
  std::printf("broken: %s\n", promise);
  ++broken;
}

void check_refused(const vexkd::Status& status, vexkd_status code, const char* part) {
  if (status.code() == code && status.message().find(part) != std::string::npos) return;
  std::printf("broken: got %d \"%s\", expected %d with \"%s\"\n", status.code(), status.message().c_str(), code, part);
  ++broken;
}

vexkd::Info two_cameras() {
  static const char* const cameras[] = {"CAM_A", "CAM_B"};
  static const char* const classes[] = {"car"};
  vexkd_perception_info info{};
  info.views = 2;
  info.cameras = cameras;
  info.image_height = 2;
  info.image_width = 3;
  info.classes = 1;
  info.class_names = classes;
  info.name = info.precision = info.backend = "";
  return vexkd::Info(info);
}

void check_calibration() {
  const vexkd::Info info = two_cameras();
  const vexkd::Matrix3 first{1}, second{2};
  vexkd::Calibration calibration(info);
  calibration.set_camera("CAM_B", second, vexkd::kIdentity);
  check_refused(calibration.check(), VEXKD_BAD_FRAME, "CAM_A is missing from the calibration");
  calibration.set_camera("CAM_A", first, vexkd::kIdentity);
  check(calibration.check().ok(), "a calibration of all cameras is whole");
  const vexkd_calibration raw = calibration.raw();
  check(raw.views == 2 && raw.intrinsics[0] == 1 && raw.intrinsics[9] == 2, "calibration follows the info's order");
  check(raw.camera_to_ego[16] == 1 && raw.camera_to_ego[31] == 1, "poses are dense");
  calibration.set_camera("CAM_C", first, vexkd::kIdentity);
  check_refused(calibration.check(), VEXKD_BAD_FRAME, "no camera CAM_C in this model; it has: CAM_A, CAM_B");
}

void check_frame() {
  const vexkd::Info info = two_cameras();
  vexkd::Frame frame(info);
  const std::vector<uint8_t> a(18, 1), b(18, 2), small(17), block(36);
  const std::vector<float> values(11);
  check_refused(frame.check(), VEXKD_BAD_FRAME, "the image of CAM_A is missing");
  frame.set_image("CAM_B", b);
  frame.set_image("CAM_A", a);
  check(frame.check().ok(), "a frame with every image is whole");
  check(frame.raw().images[0] == a.data() && frame.raw().images[1] == b.data(), "images follow the info's order");
  frame.set_image("CAM_A", small);
  frame.set_image("CAM_C", a);  // the first mistake is the one that is told
  check_refused(frame.check(), VEXKD_BAD_FRAME, "the image of CAM_A has 17 bytes, expected 18");
  frame.clear();
  frame.set_image_block(block);
  check(frame.check().ok() && frame.raw().images == nullptr, "a block stands for single images");
  frame.set_points(values);
  check_refused(frame.check(), VEXKD_BAD_FRAME, "points have 11 floats");
  frame.clear();
  frame.set_image_block(block);
  frame.add_sweep({values});
  check_refused(frame.check(), VEXKD_BAD_FRAME, "sweep 0 has 11 floats and stride 5");
}

void check_sweeps() {
  vexkd::Frame frame(two_cameras());
  const std::vector<float> values(20);
  for (int i = 0; i < 9; ++i) {
    vexkd::Sweep sweep;
    sweep.values = values;
    sweep.stride = 4;
    sweep.age = static_cast<float>(i);
    sweep.sensor_to_ego[3] = i;
    frame.add_sweep(sweep);
  }
  const vexkd::Frame moved = std::move(frame);
  const vexkd_frame raw = moved.raw();
  check(raw.sweep_count == 9 && raw.sweeps[8].count == 5, "sweeps are counted in points");
  for (int i = 0; i < 9; ++i) {
    check(raw.sweeps[i].sensor_to_ego[3] == i && raw.sweeps[i].age == static_cast<float>(i), "a sweep keeps its pose");
  }
}

void check_reuse() {
  const vexkd::Info info = two_cameras();
  const std::vector<uint8_t> pixels(18);
  const std::vector<float> values(20);
  vexkd::Frame frame(info);
  vexkd::Calibration calibration(info);
  int before = 0;
  for (int moment = 0; moment < 2; ++moment) {
    before = allocations;
    frame.clear();
    for (int sweep = 0; sweep < 4; ++sweep) frame.add_sweep({values});
    for (const char* camera : {"CAM_A", "CAM_B"}) {
      frame.set_image(camera, pixels);
      calibration.set_camera(camera, {1}, vexkd::kIdentity);
    }
    check(frame.check().ok() && calibration.check().ok(), "a frame can be filled again");
  }
  check(allocations == before, "a frame that is filled again allocates nothing");
}

void check_detection(const char* bundle, const vexkd::Options& options) {
  vexkd::Result<vexkd::Perception> opened = vexkd::Perception::open(bundle, options);
  if (!opened.ok()) return check_refused(opened.status(), VEXKD_OK, "");
  vexkd::Perception model = std::move(*opened);
  check(opened->get() == nullptr, "a moved model is empty");
  const vexkd::Info& info = model.info();
  check(info.task == vexkd::Task::detection && info.cameras.empty() && info.class_names.size() == 2, "info");
  check(info.backend_kind == vexkd::Backend::onnxruntime_cpu && info.point_capacity > 4, "info of a backend");

  check(model.update_calibration(vexkd::Calibration(info)).ok(), "nothing to calibrate is no failure");
  const std::vector<float> points{5, 0, 0, .5f, 0, -5, 0, 0, .75f, 0, 0, 3, 0, .25f, 0, 0, -3, 0, .625f, 0};
  vexkd::Frame frame(info);
  frame.set_points(points);
  vexkd::Result<vexkd::Detections> found = model.detect(frame);
  if (!found.ok()) return check_refused(found.status(), VEXKD_OK, "");
  check(found->boxes.size() == 3 && found->boxes[0].x == -5 && found->boxes[2].score == .5f, "best first");
  check(found->times.total > 0 && found->times.total >= found->times.engine, "stages are timed");

  frame.clear();
  frame.add_sweep({points});
  std::array<vexkd::Box, 2> own{};
  found = model.detect(frame, own);
  if (!found.ok()) return check_refused(found.status(), VEXKD_OK, "");
  check(found->boxes.data() == own.data() && found->boxes.size() == 2 && found->dropped_boxes == 1, "caller's buffer");

  check_refused(model.segment(frame).status(), VEXKD_WRONG_TASK, "");
  frame.set_points(points);
  check_refused(model.detect(frame).status(), VEXKD_BAD_FRAME, "points and sweeps");
  vexkd::Options strict = options;
  strict.score_threshold = .7f;
  opened = vexkd::Perception::open(bundle, strict);
  frame.clear();
  frame.set_points(points);
  check(opened.ok() && opened->detect(frame)->boxes.size() == 1, "a threshold of one's own");
}

void check_failures(const vexkd::Options& options) {
  const vexkd::Result<vexkd::Perception> opened = vexkd::Perception::open("/nowhere/none.vexkd", options);
  check_refused(opened.status(), VEXKD_NO_BUNDLE, "/nowhere/none.vexkd");
#ifdef __cpp_exceptions
  try {
    vexkd::Perception::open("/nowhere/none.vexkd", options).value_or_throw();
    check(false, "value_or_throw throws");
  } catch (const vexkd::Error& error) {
    check(error.code() == VEXKD_NO_BUNDLE && std::string(error.what()) == opened.status().message(), "what is thrown");
  }
#endif
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return 2;
  vexkd::Options options;
  options.onnxruntime = arguments[2];
  options.threads = 1;
  check_calibration();
  check_frame();
  check_sweeps();
  check_reuse();
  check_detection(arguments[1], options);
  check_failures(options);
  return broken;
}
