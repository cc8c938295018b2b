// Time in a loop that runs at a sensor's rate: when a frame is due, how long things took, what came too late.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>
#include <vector>

using Clock = std::chrono::steady_clock;

// A sensor that gives a frame every period. Whoever is late finds the newest frame and has missed those before it.
class Sensor {
 public:
  explicit Sensor(double hertz)
      : period_(std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(1 / hertz))),
        start_(Clock::now()) {}

  // Wait for the next frame; its number. Where several have come since, the newest of them, at once.
  long next() {
    const long newest = static_cast<long>((Clock::now() - start_) / period_);
    const long frame = std::max(last_ + 1, newest);
    skipped_ += frame - last_ - 1;
    last_ = frame;
    std::this_thread::sleep_until(start_ + frame * period_);
    return frame;
  }

  // Whether the next frame has come before the work on this one was done.
  bool is_late() const { return Clock::now() > start_ + (last_ + 1) * period_; }
  long skipped() const { return skipped_; }

 private:
  Clock::duration period_;
  Clock::time_point start_;
  long last_ = -1, skipped_ = 0;
};

// Durations of one stage.
class Durations {
 public:
  explicit Durations(size_t expected) { seconds_.reserve(expected); }
  void add(double seconds) { seconds_.push_back(seconds); }

  // In milliseconds: the smallest that `share` of all do not exceed.
  double percentile(double share) const {
    if (seconds_.empty()) return 0;
    std::vector<double> sorted = seconds_;
    std::sort(sorted.begin(), sorted.end());
    const double rank = std::max(std::ceil(share * static_cast<double>(sorted.size())), 1.0);
    return sorted[static_cast<size_t>(rank) - 1] * 1e3;
  }

 private:
  std::vector<double> seconds_;
};
