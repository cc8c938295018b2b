// frustum_index: the cell of every frustum point as a sort key (out of range: one key above the last cell), a stable
// radix sort by key that carries the flat index, and row starts by binary search. The number of kept points stays on
// the device.
#include <cub/device/device_radix_sort.cuh>

#include "cuda_common.cuh"
#include "vexkd/frustum_index.h"

namespace vexkd::device {
namespace {

struct FrustumShape {
  Divider width, height, depths, views;  // views: of one sample
  int32_t points;
  float stride;
};

struct Grid {
  Axis x, y;
  float z_min, z_max;
  int32_t area, cells;  // cells of a sample, of all
};

struct IndexWorkspace {
  uint32_t *keys, *sorted_keys;
  int32_t* indices;
  char* sort;
  size_t sort_size, size;
};

int key_bits(int32_t cells) {  // the largest key is `cells`
  int bits = 1;
  while (bits < 32 && (static_cast<uint32_t>(cells) >> bits) != 0) ++bits;
  return bits;
}

vexkd_status plan_index(void* base, int32_t points, int32_t cells, IndexWorkspace* plan) {
  size_t sort_size = 0;
  const cudaError_t error = cub::DeviceRadixSort::SortPairs(
      nullptr, sort_size, static_cast<const uint32_t*>(nullptr), static_cast<uint32_t*>(nullptr),
      static_cast<const int32_t*>(nullptr), static_cast<int32_t*>(nullptr), points, 0, key_bits(cells));
  if (error != cudaSuccess) {
    cudaGetLastError();
    return VEXKD_CUDA_ERROR;
  }
  WorkspaceParts parts(base);
  plan->keys = parts.take<uint32_t>(static_cast<size_t>(points));
  plan->sorted_keys = parts.take<uint32_t>(static_cast<size_t>(points));
  plan->indices = parts.take<int32_t>(static_cast<size_t>(points));
  plan->sort = parts.take<char>(sort_size);
  plan->sort_size = sort_size;
  plan->size = parts.size();
  return VEXKD_OK;
}

// ((m0 * u + m1 * v) + m2) * d + t, each operation rounded.
__device__ float coordinate(const float* ray, float u, float v, float depth, float origin) {
  const float direction = __fadd_rn(__fadd_rn(__fmul_rn(ray[0], u), __fmul_rn(ray[1], v)), ray[2]);
  return __fadd_rn(__fmul_rn(direction, depth), origin);
}

__device__ float pixel_centre(uint32_t index, float stride) {
  return __fsub_rn(__fmul_rn(__fadd_rn(__uint2float_rn(index), 0.5F), stride), 0.5F);
}

__global__ void __launch_bounds__(kBlock)
    locate(const float* __restrict__ rays, const float* __restrict__ origins, const float* __restrict__ depths,
           FrustumShape shape, Grid grid, uint32_t* __restrict__ keys, int32_t* __restrict__ indices) {
  const int64_t place = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (place >= shape.points) return;
  const auto point = static_cast<uint32_t>(place);
  const uint32_t row = shape.width.quotient(point), column = point - row * shape.width.divisor();
  const uint32_t plane = shape.height.quotient(row), line = row - plane * shape.height.divisor();
  const uint32_t view = shape.depths.quotient(plane), bin = plane - view * shape.depths.divisor();
  const float u = pixel_centre(column, shape.stride), v = pixel_centre(line, shape.stride), depth = depths[bin];
  const float* const ray = rays + int64_t{view} * 9;
  const float* const origin = origins + int64_t{view} * 3;
  const float x = coordinate(ray, u, v, depth, origin[0]), y = coordinate(ray + 3, u, v, depth, origin[1]);
  const float z = coordinate(ray + 6, u, v, depth, origin[2]);
  const float ix = grid.x.index_of(x), iy = grid.y.index_of(y);
  const bool inside = grid.x.holds(ix) && grid.y.holds(iy) && z >= grid.z_min && z < grid.z_max;
  int32_t key = grid.cells;
  if (inside) {
    const auto sample = static_cast<int32_t>(shape.views.quotient(view));
    key = sample * grid.area + static_cast<int32_t>(iy) * grid.x.cells + static_cast<int32_t>(ix);
  }
  keys[place] = static_cast<uint32_t>(key);
  indices[place] = static_cast<int32_t>(point);
}

// starts[c]: how many keys are below c.
__global__ void __launch_bounds__(kBlock)
    write_starts(const uint32_t* __restrict__ keys, int32_t points, int32_t cells, int32_t* __restrict__ starts) {
  const int64_t cell = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (cell > cells) return;
  int32_t low = 0, high = points;
  while (low < high) {
    const int32_t middle = low + (high - low) / 2;
    if (keys[middle] < static_cast<uint32_t>(cell)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  starts[cell] = low;
}

__global__ void __launch_bounds__(kBlock)
    clear_dropped(const int32_t* __restrict__ kept, int32_t capacity, int32_t* __restrict__ points) {
  const int64_t place = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (place < capacity && place >= *kept) points[place] = -1;
}

}  // namespace
}  // namespace vexkd::device

vexkd_status vexkd_frustum_index_cuda(const float* rays, const float* origins, const float* depths,
                                      const vexkd_frustum_shape* shape, const vexkd_grid* grid, int32_t* points,
                                      int32_t* starts, void* workspace, size_t workspace_size, void* stream_pointer) {
  using namespace vexkd;
  using namespace vexkd::device;
  vexkd_status status = check_frustum_sizes(shape, grid);
  if (status != VEXKD_OK) return status;
  const int32_t capacity = shape->views * shape->depths * shape->height * shape->width;
  const int32_t area = grid->height * grid->width, cells = shape->batch * area;
  IndexWorkspace plan{};
  status = plan_index(workspace, capacity, cells, &plan);
  if (status != VEXKD_OK) return status;
  status = check_workspace(workspace, workspace_size, plan.size, false);
  if (status != VEXKD_OK) return status;
  status = check_frustum_index(rays, origins, depths, shape, grid, points, starts,
                               workspace_buffer(workspace, plan.size, VEXKD_CUDA_ALIGNMENT));
  if (status != VEXKD_OK) return status;

  const auto stream = static_cast<cudaStream_t>(stream_pointer);
  const FrustumShape frustum{Divider(static_cast<uint32_t>(shape->width)),
                             Divider(static_cast<uint32_t>(shape->height)),
                             Divider(static_cast<uint32_t>(shape->depths)),
                             Divider(static_cast<uint32_t>(shape->views / shape->batch)),
                             capacity,
                             static_cast<float>(shape->stride)};
  const Grid map{x_axis(*grid), y_axis(*grid), grid->z_min, grid->z_max, area, cells};
  locate<<<blocks_for(capacity), kBlock, 0, stream>>>(rays, origins, depths, frustum, map, plan.keys, plan.indices);
  status = done(cub::DeviceRadixSort::SortPairs(plan.sort, plan.sort_size, plan.keys, plan.sorted_keys, plan.indices,
                                                points, capacity, 0, key_bits(cells), stream));
  if (status != VEXKD_OK) return status;
  write_starts<<<blocks_for(int64_t{cells} + 1), kBlock, 0, stream>>>(plan.sorted_keys, capacity, cells, starts);
  clear_dropped<<<blocks_for(capacity), kBlock, 0, stream>>>(starts + cells, capacity, points);
  return launched();
}

vexkd_status vexkd_frustum_index_cuda_workspace(const vexkd_frustum_shape* shape, const vexkd_grid* grid,
                                                size_t* size) {
  using namespace vexkd;
  using namespace vexkd::device;
  if (size == nullptr) return VEXKD_NULL_POINTER;
  const vexkd_status status = check_frustum_sizes(shape, grid);
  if (status != VEXKD_OK) return status;
  IndexWorkspace plan{};
  const vexkd_status planned = plan_index(nullptr, shape->views * shape->depths * shape->height * shape->width,
                                          shape->batch * grid->height * grid->width, &plan);
  if (planned != VEXKD_OK) return planned;
  if (plan.size > PTRDIFF_MAX) return VEXKD_TOO_LARGE;
  *size = plan.size;
  return VEXKD_OK;
}
