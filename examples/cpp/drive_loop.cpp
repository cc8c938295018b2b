// Plays a recorded scene at a sensor's rate through a LiDAR bundle and a camera bundle, a thread each, as a car would.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "arguments.hpp"
#include "deadline.hpp"
#include "recording.hpp"
#include "vexkd/perception.hpp"

namespace {

struct Stage {
  const char* name;
  double vexkd::Times::* time;
};
constexpr Stage kStages[] = {{"points", &vexkd::Times::points},           {"images", &vexkd::Times::images},
                             {"calibration", &vexkd::Times::calibration}, {"engine", &vexkd::Times::engine},
                             {"selection", &vexkd::Times::selection},     {"total", &vexkd::Times::total}};

// What one loop has seen.
struct Log {
  explicit Log(size_t expected) : stages(std::size(kStages), Durations(expected)) {}

  std::vector<Durations> stages;
  long frames = 0, boxes = 0, dropped_points = 0, late = 0, skipped = 0;
  bool failed = false;
};

// A bundle, and the scene as it wants it.
struct Lane {
  vexkd::Perception model;
  Recording recording;
  Log log;
};

Lane make_lane(const std::string& bundle, const Arguments& arguments, int32_t threads) {
  vexkd::Options options;
  options.threads = threads;
  options.onnxruntime = arguments.onnxruntime;
  vexkd::Perception model = vexkd::Perception::open(bundle, options).value_or_throw();
  std::printf("%s on %s\n", model.info().name.c_str(), model.info().backend.c_str());
  const auto frames = static_cast<size_t>(std::ceil(arguments.rate * arguments.seconds));
  Recording recording(arguments.data, arguments.version, model.info(), frames);
  return {std::move(model), std::move(recording), Log(frames)};
}

void print(const vexkd::Info& info, double time, const vexkd::Detections& found) {
  constexpr size_t kShown = 3;
  std::string best;
  for (size_t i = 0; i < std::min(kShown, found.boxes.size()); ++i) {
    const vexkd::Box& box = found.boxes[i];
    char text[96];
    std::snprintf(text, sizeof text, "  %s %.2f at (%.1f, %.1f)",
                  info.class_names[static_cast<size_t>(box.label)].c_str(), box.score, box.x, box.y);
    best += text;
  }
  std::printf("%s %5.2f s: %zu boxes in %.1f ms%s\n", info.name.c_str(), time, found.boxes.size(),
              found.times.total * 1e3, best.c_str());
}

// How much of the map each class covers: logits above 0 are more likely there than not.
void print(const vexkd::Info& info, double time, const vexkd::Map& found) {
  const size_t cells = found.logits.size() / info.class_names.size();
  std::string shares;
  for (size_t name = 0; name < info.class_names.size(); ++name) {
    const float* const first = found.logits.data() + name * cells;
    const auto covered = std::count_if(first, first + cells, [](float logit) { return logit > 0; });
    char text[96];
    std::snprintf(text, sizeof text, "  %s %.0f %%", info.class_names[name].c_str(),
                  100.0 * static_cast<double>(covered) / static_cast<double>(cells));
    shares += text;
  }
  std::printf("%s %5.2f s: map in %.1f ms%s\n", info.name.c_str(), time, found.times.total * 1e3, shares.c_str());
}

long boxes_of(const vexkd::Detections& found) { return static_cast<long>(found.boxes.size()); }
long boxes_of(const vexkd::Map&) { return 0; }

// Count and print what was found, if something was.
template <class Found>
vexkd::Status report(Lane& lane, double time, vexkd::Result<Found> found) {
  if (!found.ok()) return found.status();
  Log& log = lane.log;
  ++log.frames;
  log.boxes += boxes_of(*found);
  log.dropped_points += found->dropped_points;
  for (size_t stage = 0; stage < std::size(kStages); ++stage) log.stages[stage].add(found->times.*kStages[stage].time);
  print(lane.model.info(), time, *found);
  return {};
}

// A thread's work. Frame, calibration and result keep their memory from moment to moment.
void drive(Lane& lane, const Arguments& arguments) {
  const vexkd::Info& info = lane.model.info();
  vexkd::Frame frame(info);
  vexkd::Calibration calibration(info);
  Sensor sensor(arguments.rate);
  for (long i = sensor.next(); static_cast<double>(i) < arguments.rate * arguments.seconds; i = sensor.next()) {
    const size_t moment = static_cast<size_t>(i) % lane.recording.size();
    lane.recording.fill(moment, frame);
    lane.recording.fill(moment, calibration);
    vexkd::Status status = lane.model.update_calibration(calibration);
    if (status.ok()) {
      const double time = lane.recording.time(moment);
      status = info.task == vexkd::Task::detection ? report(lane, time, lane.model.detect(frame))
                                                   : report(lane, time, lane.model.segment(frame));
    }
    if (sensor.is_late()) ++lane.log.late;
    if (status.ok()) continue;
    std::fprintf(stderr, "%s: %s\n", info.name.c_str(), status.message().c_str());
    lane.log.failed = true;
    if (status.code() != VEXKD_BAD_FRAME) break;  // one bad frame is no reason to stop, a broken backend is
  }
  lane.log.skipped = sensor.skipped();
}

void summarise(const Lane& lane, double rate) {
  const Log& log = lane.log;
  std::printf("\n%s: %ld frames at %g Hz, %ld boxes, %ld points dropped\n", lane.model.info().name.c_str(), log.frames,
              rate, log.boxes, log.dropped_points);
  std::printf("missed deadlines: %ld frames late, %ld never looked at\n", log.late, log.skipped);
  std::printf("%-11s %8s %8s %8s ms\n", "stage", "p50", "p99", "max");
  for (size_t stage = 0; stage < std::size(kStages); ++stage) {
    const Durations& times = log.stages[stage];
    std::printf("%-11s %8.2f %8.2f %8.2f\n", kStages[stage].name, times.percentile(0.5), times.percentile(0.99),
                times.percentile(1));
  }
}

// Bundles to play, without those that this build has no decoder for.
std::vector<std::string> playable(const Arguments& arguments) {
  std::vector<std::string> bundles;
  if (!arguments.lidar.empty()) bundles.push_back(arguments.lidar);
  if (arguments.camera.empty()) return bundles;
  if (has_jpeg()) {
    bundles.push_back(arguments.camera);
  } else {
    std::fprintf(stderr, "drive_loop: built without libjpeg, so %s is left out\n", arguments.camera.c_str());
  }
  return bundles;
}

int play(const Arguments& arguments) {
  const std::vector<std::string> bundles = playable(arguments);
  // Two models that each take all cores would wait for each other.
  const auto cores = static_cast<int32_t>(std::thread::hardware_concurrency());
  const int32_t threads = bundles.size() == 2 ? std::max(cores / 2, 1) : 0;
  std::vector<Lane> lanes;
  for (const std::string& bundle : bundles) lanes.push_back(make_lane(bundle, arguments, threads));
  std::vector<std::thread> running;
  for (Lane& lane : lanes) running.emplace_back(drive, std::ref(lane), std::cref(arguments));
  for (std::thread& thread : running) thread.join();
  bool failed = lanes.empty();
  for (const Lane& lane : lanes) {
    summarise(lane, arguments.rate);
    failed = failed || lane.log.failed;
  }
  return failed ? 1 : 0;
}

}  // namespace

int main(int count, char** words) {
  Arguments arguments;
  const std::string mistake = parse(count, words, arguments);
  if (!mistake.empty()) {
    std::fprintf(stderr, "drive_loop: %s\n%s", mistake.c_str(), kUsage);
    return 2;
  }
  try {
    return play(arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "drive_loop: %s\n", error.what());
    return 1;
  }
}
