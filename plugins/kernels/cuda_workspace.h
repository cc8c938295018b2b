// Workspaces of the CUDA kernels: what lies where, and so how much is needed. Plain C++, because the sizes must be
// known without CUDA too: an engine may be built where neither GPU nor nvcc is, and its workspace is fixed there.
#ifndef VEXKD_KERNELS_CUDA_WORKSPACE_H
#define VEXKD_KERNELS_CUDA_WORKSPACE_H

#include "checks.h"

namespace vexkd {

// Hands out aligned parts of a workspace that may lie anywhere, in order; with a null base it only counts. Saturates
// instead of overflowing.
class WorkspaceParts {
 public:
  explicit WorkspaceParts(void* base) {
    const size_t beyond = reinterpret_cast<uintptr_t>(base) % VEXKD_CUDA_ALIGNMENT;
    base_ = static_cast<char*>(base) + (beyond == 0 ? 0 : VEXKD_CUDA_ALIGNMENT - beyond);
  }

  template <typename T>
  T* take(size_t count) {
    const size_t offset = size_;
    size_t bytes = 0;
    if (__builtin_mul_overflow(count, sizeof(T), &bytes) || bytes > SIZE_MAX - (VEXKD_CUDA_ALIGNMENT - 1)) {
      size_ = SIZE_MAX;
      return nullptr;
    }
    bytes = (bytes + VEXKD_CUDA_ALIGNMENT - 1) / VEXKD_CUDA_ALIGNMENT * VEXKD_CUDA_ALIGNMENT;
    if (__builtin_add_overflow(size_, bytes, &size_)) size_ = SIZE_MAX;
    return base_ == nullptr || size_ == SIZE_MAX ? nullptr : reinterpret_cast<T*>(base_ + offset);
  }

  // Bytes of all parts, and of the way to the first aligned one.
  size_t size() const {
    constexpr size_t kPadding = VEXKD_CUDA_ALIGNMENT - 1;
    return size_ == 0 || size_ > SIZE_MAX - kPadding ? size_ : size_ + kPadding;
  }

 private:
  char* base_;
  size_t size_ = 0;
};

// Fixed-point sums of a pillar's points and their number: one 32-byte sector.
struct alignas(32) PillarSums {
  unsigned long long x, y, z;
  uint32_t count;
};

struct VoxelizeWorkspace {
  PillarSums* pillars;  // (batch * H * W); only pillars with points are written or read
  size_t size;
};

struct PillarMaxWorkspace {
  int32_t* counts;     // (cells) points per cell
  int32_t* starts;     // (cells + 1) exclusive sums of counts
  int32_t* order;      // (points) rows grouped by cell
  int32_t* tile_sums;  // (ceil(cells / kScanTile))
  size_t size;
};

struct BevPoolWorkspace {
  void* context;   // (views, h, w, padded channels): channels last
  int32_t* falls;  // (kCheckers) not 0 where a stretch of the row starts falls
  size_t size;
};

struct BevPoolBackwardWorkspace {
  void* context;   // (views, h, w, padded channels)
  void* grad_bev;  // (batch, H, W, padded channels)
  int32_t* cells;  // (views, depths, h, w): cell of each frustum point, -1 for none
  int32_t* falls;  // (kCheckers) as for BevPool
  size_t size;
};

// What nms knows of a box: footprint.
struct BoxFootprint {
  double x[4], y[4];          // corners counter-clockwise
  double centre_x, centre_y;  // metres
  double area, radius;        // of the circle around it; both 0 for a box without area
  int32_t group;
};

struct NmsWorkspace {
  int32_t* order;            // (count) box of each rank, -1 beyond the candidates
  BoxFootprint* footprints;  // (count) by rank
  uint64_t* overlaps;        // (count, words of 64 ranks): bit c of row r: rank c gives way to rank r
  size_t size;
};

constexpr int32_t kCheckers = 256;    // stretches in which row starts are checked
constexpr int32_t kNmsWord = 64;      // ranks of one word of the overlap matrix
constexpr int32_t kScanTile = 2048;   // cells that one block of the prefix sum takes
constexpr int32_t kVectorBytes = 16;  // one load; channels-last rows are padded to whole vectors

inline int64_t padded_channels(vexkd_dtype dtype, int32_t channels) {
  const int64_t vector = kVectorBytes / static_cast<int64_t>(dtype_size(dtype));
  return (channels + vector - 1) / vector * vector;
}

// Sizes must have passed the operator's check.
VoxelizeWorkspace plan_voxelize(void* base, int32_t batch, const vexkd_grid& grid);
PillarMaxWorkspace plan_pillar_max(void* base, int32_t points, int32_t batch, int32_t height, int32_t width);
BevPoolWorkspace plan_bev_pool(void* base, vexkd_dtype dtype, const vexkd_bev_pool_shape& shape);
NmsWorkspace plan_nms(void* base, int32_t count);
BevPoolBackwardWorkspace plan_bev_pool_backward(void* base, vexkd_dtype dtype, const vexkd_bev_pool_shape& shape);

}  // namespace vexkd

#endif
