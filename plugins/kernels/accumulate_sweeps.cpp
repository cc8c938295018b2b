#include "vexkd/accumulate_sweeps.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "checks.h"
#include "cpu.h"
#include "memory.h"
#include "parallel.h"

// The points of all sweeps, as one sequence, are split into chunks. Where threads share the work, each chunk's kept
// points are counted first, so that it knows the row where it begins; one thread needs no such pass.
namespace vexkd {
namespace {

constexpr Access kInput = Access::kInput, kOutput = Access::kOutput;
constexpr int64_t kChunkPoints = 8192;
constexpr int64_t kMaxChunks = 256;
constexpr int64_t kPose = 16;

using Double4 = double __attribute__((vector_size(32)));
using Float4 = float __attribute__((vector_size(16), aligned(4)));

bool valid(const vexkd_sweep& sweep) {
  return sweep.count >= 0 && sweep.stride >= 4 && std::isfinite(sweep.age) && std::isfinite(sweep.intensity_scale) &&
         sweep.intensity_scale > 0 && std::isfinite(sweep.own_vehicle) && sweep.own_vehicle >= 0;
}

vexkd_status check(const vexkd_sweep* sweeps, int32_t sweep_count, int32_t capacity, const float* points,
                   const int32_t* count, const int32_t* dropped, int64_t* total) {
  if (sweep_count < 0 || capacity < 0) return VEXKD_INVALID_ARGUMENT;
  const Buffer outputs[3] = {
      {points, product({capacity, VEXKD_POINT_SIZE, 4}), 4, kOutput}, {count, 4, 4, kOutput}, {dropped, 4, 4, kOutput}};
  vexkd_status status =
      check_buffers({{sweeps, product({sweep_count, sizeof(vexkd_sweep)}), alignof(vexkd_sweep), kInput},
                     outputs[0],
                     outputs[1],
                     outputs[2]});
  if (status != VEXKD_OK) return status;
  *total = 0;
  for (const vexkd_sweep* sweep = sweeps; sweep != sweeps + sweep_count; ++sweep) {
    if (!valid(*sweep)) return VEXKD_INVALID_ARGUMENT;
    status = check_buffers({{sweep->points, product({sweep->count, sweep->stride, 4}), 4, kInput},
                            {sweep->sensor_to_ego, kPose * sizeof(double), sizeof(double), kInput},
                            outputs[0],
                            outputs[1],
                            outputs[2]});
    if (status != VEXKD_OK) return status;
    if (!is_pose(sweep->sensor_to_ego)) return VEXKD_INVALID_ARGUMENT;
    *total += sweep->count;
    if (*total > INT32_MAX) return VEXKD_TOO_LARGE;
  }
  return VEXKD_OK;
}

// NaN and infinity lie outside, as every comparison of theirs says.
VEXKD_INLINE bool on_vehicle(float x, float y, float limit) { return (std::abs(x) < limit) & (std::abs(y) < limit); }

int64_t count_kept(const float* from, int64_t n, int64_t stride, float limit) {
  int64_t kept = 0;
  for (int64_t i = 0; i < n; ++i) kept += !on_vehicle(from[i * stride], from[i * stride + 1], limit);
  return kept;
}

// Move points of one sweep to at most `room` rows; returns how many are kept, with room or without.
VEXKD_CLONES int64_t move(const vexkd_sweep& sweep, int64_t first, int64_t n, float* to, int64_t room) {
  const double* m = sweep.sensor_to_ego;
  const Double4 by_x = {m[0], m[4], m[8], 0}, by_y = {m[1], m[5], m[9], 0}, by_z = {m[2], m[6], m[10], 0};
  const Double4 shift = {m[3], m[7], m[11], 0};
  const int64_t stride = sweep.stride;
  const float limit = sweep.own_vehicle, scale = sweep.intensity_scale, age = sweep.age;
  const float* point = sweep.points + first * stride;
  const float* const end = point + n * stride;
  int64_t kept = 0;
  for (; point != end && kept < room; point += stride) {
    if (on_vehicle(point[0], point[1], limit)) continue;
    const double x = point[0], y = point[1], z = point[2];
    const Double4 moved = ((by_x * x + by_y * y) + by_z * z) + shift;
    float* row = to + kept * VEXKD_POINT_SIZE;
    *reinterpret_cast<Float4*>(row) = __builtin_convertvector(moved, Float4);
    row[3] = point[3] / scale;
    row[4] = age;
    ++kept;
  }
  return kept + count_kept(point, (end - point) / stride, stride, limit);
}

// Call body(sweep, first, n) for the stretches of sweeps that make up points begin .. end - 1 of all.
template <typename Body>
void each_stretch(const vexkd_sweep* sweeps, int64_t begin, int64_t end, const Body& body) {
  for (const vexkd_sweep* sweep = sweeps; begin < end; ++sweep) {
    const int64_t n = std::min<int64_t>(end, sweep->count) - begin;
    if (n > 0) {
      body(*sweep, begin, n);
      begin += n;
    }
    begin -= sweep->count;
    end -= sweep->count;
  }
}

int64_t count_range(const vexkd_sweep* sweeps, int64_t begin, int64_t end) {
  int64_t kept = 0;
  each_stretch(sweeps, begin, end, [&](const vexkd_sweep& sweep, int64_t first, int64_t n) {
    kept += count_kept(sweep.points + first * sweep.stride, n, sweep.stride, sweep.own_vehicle);
  });
  return kept;
}

int64_t move_range(const vexkd_sweep* sweeps, int64_t begin, int64_t end, float* to, int64_t room) {
  int64_t kept = 0;
  each_stretch(sweeps, begin, end, [&](const vexkd_sweep& sweep, int64_t first, int64_t n) {
    const int64_t written = std::min(kept, room);
    kept += move(sweep, first, n, to + written * VEXKD_POINT_SIZE, room - written);
  });
  return kept;
}

// The kept points of all chunks to their rows; returns how many there are.
int64_t move_all(const vexkd_sweep* sweeps, int64_t total, int64_t capacity, float* points, int32_t threads) {
  const int64_t chunks = std::clamp<int64_t>(ceil_divide(total, kChunkPoints), 1, kMaxChunks);
  if (threads == 1 || chunks == 1) return move_range(sweeps, 0, total, points, capacity);
  int64_t starts[kMaxChunks];
  const auto begin_of = [&](int64_t chunk) { return total * chunk / chunks; };
  parallel_for(threads, chunks,
               [&](int64_t chunk) { starts[chunk] = count_range(sweeps, begin_of(chunk), begin_of(chunk + 1)); });
  int64_t kept = 0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const int64_t here = starts[chunk];
    starts[chunk] = kept;
    kept += here;
  }
  parallel_for(threads, chunks, [&](int64_t chunk) {
    const int64_t start = std::min(starts[chunk], capacity);
    move_range(sweeps, begin_of(chunk), begin_of(chunk + 1), points + start * VEXKD_POINT_SIZE, capacity - start);
  });
  return kept;
}

// Zeros behind the written rows, and both counts.
void finish(int64_t kept, int64_t capacity, float* points, int32_t* count, int32_t* dropped) {
  const int64_t written = std::min(kept, capacity);
  std::fill(points + written * VEXKD_POINT_SIZE, points + capacity * VEXKD_POINT_SIZE, 0.0F);
  *count = static_cast<int32_t>(written);
  *dropped = static_cast<int32_t>(kept - written);
}

}  // namespace
}  // namespace vexkd

vexkd_status vexkd_accumulate_sweeps_cpu(const vexkd_sweep* sweeps, int32_t sweep_count, int32_t capacity,
                                         float* points, int32_t* count, int32_t* dropped, int32_t threads) {
  using namespace vexkd;
  int64_t total;
  const vexkd_status status = check(sweeps, sweep_count, capacity, points, count, dropped, &total);
  if (status != VEXKD_OK) return status;
  prefer_huge_pages(points, product({capacity, VEXKD_POINT_SIZE, 4}));
  finish(move_all(sweeps, total, capacity, points, resolve_threads(threads)), capacity, points, count, dropped);
  return VEXKD_OK;
}

vexkd_status vexkd_pad_points(const float* cloud, int32_t point_count, int32_t capacity, float* points, int32_t* count,
                              int32_t* dropped) {
  using namespace vexkd;
  if (point_count < 0 || capacity < 0) return VEXKD_INVALID_ARGUMENT;
  const vexkd_status status = check_buffers({
      {cloud, product({point_count, VEXKD_POINT_SIZE, 4}), 4, kInput},
      {points, product({capacity, VEXKD_POINT_SIZE, 4}), 4, kOutput},
      {count, 4, 4, kOutput},
      {dropped, 4, 4, kOutput},
  });
  if (status != VEXKD_OK) return status;
  const int64_t written = std::min(point_count, capacity);
  if (written > 0) std::memcpy(points, cloud, static_cast<size_t>(written) * VEXKD_POINT_SIZE * sizeof(float));
  finish(point_count, capacity, points, count, dropped);
  return VEXKD_OK;
}
