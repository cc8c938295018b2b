// Voxelize in three passes, without clearing a table and without floating-point atomics.
// Locate: every point's cell; the sums of that cell are set to zero (by each of its points: the same value).
// Sum: offsets in fixed point, added by 64-bit integer atomics, so their order does not matter.
// Describe: means and features; a block stages its rows in shared memory, so that the 44-byte rows leave in one piece.
#include <cmath>

#include "cuda_common.cuh"
#include "vexkd/voxelize.h"

namespace vexkd::device {
namespace {

constexpr int kColumns = VEXKD_POINT_SIZE;
constexpr int kFeatures = VEXKD_POINT_FEATURES;

struct Frame {
  Axis x, y;
  float z_min, z_max, z_centre;
  float scale[3], inverse[3];  // of the fixed point, per axis: 2^k and 2^-k as voxelize.h defines k
  int32_t cells;               // of one sample
};

Frame make_frame(const vexkd_grid& grid) {
  Frame frame{x_axis(grid), y_axis(grid), grid.z_min, grid.z_max, (grid.z_min + grid.z_max) * 0.5F, {}, {}, 0};
  const float extents[3] = {grid.cell_x, grid.cell_y, grid.z_max - grid.z_min};
  for (int axis = 0; axis < 3; ++axis) {
    int exponent = 0;
    std::frexp(extents[axis], &exponent);
    frame.scale[axis] = std::ldexp(1.0F, 30 - exponent);
    frame.inverse[axis] = std::ldexp(1.0F, exponent - 30);
  }
  frame.cells = grid.height * grid.width;
  return frame;
}

struct Offset {
  float x, y, z;
};

__device__ Offset offset_of(const Frame& frame, float x, float y, float z) {
  return {__fsub_rn(x, frame.x.centre_of(frame.x.index_of(x))), __fsub_rn(y, frame.y.centre_of(frame.y.index_of(y))),
          __fsub_rn(z, frame.z_centre)};
}

__device__ unsigned long long fixed_point(float offset, float scale) {
  const float scaled = fminf(fmaxf(__fmul_rn(offset, scale), -0x1p30F), 0x1p30F);
  return static_cast<unsigned long long>(static_cast<long long>(__float2int_rn(scaled)));
}

__device__ float mean_of(unsigned long long sum, uint32_t count, float inverse) {
  const float total = __ll2float_rn(static_cast<long long>(sum));
  return __fmul_rn(__fdiv_rn(total, __uint2float_rn(count)), inverse);
}

__global__ void __launch_bounds__(kBlock)
    voxelize_locate(const float* __restrict__ points, const int32_t* __restrict__ counts, int32_t rows,
                    int32_t capacity, Frame frame, int32_t* __restrict__ cells, PillarSums* __restrict__ pillars) {
  const int64_t row = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (row >= rows) return;
  const int32_t sample = static_cast<int32_t>(row) / capacity;
  const int32_t place = static_cast<int32_t>(row) - sample * capacity;
  int32_t cell = -1;
  if (place < counts[sample]) {  // a count above the capacity is the capacity, one below 0 is 0
    const float* point = points + row * kColumns;
    const float x = point[0], y = point[1], z = point[2];
    const float ix = frame.x.index_of(x), iy = frame.y.index_of(y);
    const bool inside = frame.x.holds(ix) && frame.y.holds(iy) && z >= frame.z_min && z < frame.z_max;
    if (inside && isfinite(point[3]) && isfinite(point[4])) {
      cell = sample * frame.cells + static_cast<int32_t>(iy) * frame.x.cells + static_cast<int32_t>(ix);
    }
  }
  cells[row] = cell;
  if (cell >= 0) pillars[cell] = PillarSums{0, 0, 0, 0};
}

__global__ void __launch_bounds__(kBlock)
    voxelize_sum(const float* __restrict__ points, int32_t rows, Frame frame, const int32_t* __restrict__ cells,
                 PillarSums* __restrict__ pillars) {
  const int64_t row = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (row >= rows) return;
  const int32_t cell = cells[row];
  if (cell < 0) return;
  const float* point = points + row * kColumns;
  const Offset offset = offset_of(frame, point[0], point[1], point[2]);
  PillarSums* const pillar = pillars + cell;
  atomicAdd(&pillar->x, fixed_point(offset.x, frame.scale[0]));
  atomicAdd(&pillar->y, fixed_point(offset.y, frame.scale[1]));
  atomicAdd(&pillar->z, fixed_point(offset.z, frame.scale[2]));
  atomicAdd(&pillar->count, 1U);
}

template <typename T>
__global__ void __launch_bounds__(kBlock)
    voxelize_describe(const float* __restrict__ points, int32_t rows, Frame frame, const int32_t* __restrict__ cells,
                      const PillarSums* __restrict__ pillars, T* __restrict__ features) {
  __shared__ float staged_points[kBlock * kColumns];
  __shared__ T staged_features[kBlock * kFeatures];
  const int64_t first = int64_t{blockIdx.x} * kBlock;
  const int block_rows = static_cast<int>(min(int64_t{kBlock}, rows - first));
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < block_rows * kColumns; i += kBlock) staged_points[i] = points[first * kColumns + i];
  __syncthreads();
  if (thread < block_rows) {
    const int32_t cell = cells[first + thread];
    float row[kFeatures] = {};
    if (cell >= 0) {
      const PillarSums pillar = pillars[cell];
      for (int i = 0; i < kColumns; ++i) row[i] = staged_points[thread * kColumns + i];
      const Offset offset = offset_of(frame, row[0], row[1], row[2]);
      row[5] = __fsub_rn(offset.x, mean_of(pillar.x, pillar.count, frame.inverse[0]));
      row[6] = __fsub_rn(offset.y, mean_of(pillar.y, pillar.count, frame.inverse[1]));
      row[7] = __fsub_rn(offset.z, mean_of(pillar.z, pillar.count, frame.inverse[2]));
      row[8] = offset.x;
      row[9] = offset.y;
      row[10] = offset.z;
    }
    for (int i = 0; i < kFeatures; ++i) store(row[i], staged_features + thread * kFeatures + i);
  }
  __syncthreads();
  for (int i = thread; i < block_rows * kFeatures; i += kBlock) features[first * kFeatures + i] = staged_features[i];
}

}  // namespace
}  // namespace vexkd::device

vexkd_status vexkd_voxelize_cuda(const float* points, const int32_t* counts, int32_t batch, int32_t capacity,
                                 const vexkd_grid* grid, vexkd_dtype features_dtype, void* features, int32_t* cells,
                                 void* workspace, size_t workspace_size, void* stream_pointer) {
  using namespace vexkd;
  using namespace vexkd::device;
  VEXKD_TRY(check_voxelize_sizes(batch, capacity, grid));
  const VoxelizeWorkspace plan = plan_voxelize(workspace, batch, *grid);
  VEXKD_TRY(check_workspace(workspace, workspace_size, plan.size, false));
  VEXKD_TRY(check_voxelize(points, counts, batch, capacity, grid, features_dtype, features, cells,
                           workspace_buffer(workspace, plan.size)));
  const int32_t rows = batch * capacity;
  if (rows == 0) return VEXKD_OK;

  const auto stream = static_cast<cudaStream_t>(stream_pointer);
  const Frame frame = make_frame(*grid);
  const unsigned blocks = blocks_for(rows);
  voxelize_locate<<<blocks, kBlock, 0, stream>>>(points, counts, rows, capacity, frame, cells, plan.pillars);
  VEXKD_TRY(launched());
  voxelize_sum<<<blocks, kBlock, 0, stream>>>(points, rows, frame, cells, plan.pillars);
  VEXKD_TRY(launched());
  if (features_dtype == VEXKD_F16) {
    voxelize_describe<<<blocks, kBlock, 0, stream>>>(points, rows, frame, cells, plan.pillars,
                                                     static_cast<__half*>(features));
  } else {
    voxelize_describe<<<blocks, kBlock, 0, stream>>>(points, rows, frame, cells, plan.pillars,
                                                     static_cast<float*>(features));
  }
  return launched();
}
