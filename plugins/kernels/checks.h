// Argument checks that the CPU and the CUDA entry points share: every hostile argument ends as a status here.
#ifndef VEXKD_KERNELS_CHECKS_H
#define VEXKD_KERNELS_CHECKS_H

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "vexkd/bev_pool.h"
#include "vexkd/frustum_index.h"
#include "vexkd/nms.h"
#include "vexkd/prepare_images.h"
#include "vexkd/types.h"

// Leave an entry point with the status of an expression unless that is VEXKD_OK.
#define VEXKD_TRY(expression)                        \
  do {                                               \
    const vexkd_status vexkd_tried = (expression);   \
    if (vexkd_tried != VEXKD_OK) return vexkd_tried; \
  } while (false)

namespace vexkd {

// Product of non-negative sizes; SIZE_MAX when it overflows, which check_buffers refuses.
inline size_t product(std::initializer_list<int64_t> factors) {
  size_t result = 1;
  for (int64_t factor : factors) {
    if (factor == 0) return 0;
  }
  for (int64_t factor : factors) {
    if (__builtin_mul_overflow(result, static_cast<size_t>(factor), &result)) return SIZE_MAX;
  }
  return result;
}

inline bool fits_int32(std::initializer_list<int64_t> factors) { return product(factors) <= INT32_MAX; }

enum class Access { kInput, kOutput };

struct Buffer {
  const void* data;
  size_t bytes;
  size_t alignment;
  Access access;
};

// Null, address-space overflow, misalignment and overlap of an output with anything. Empty buffers may be anything.
inline vexkd_status check_buffers(std::initializer_list<Buffer> buffers) {
  for (const Buffer& buffer : buffers) {
    if (buffer.bytes > PTRDIFF_MAX) return VEXKD_TOO_LARGE;
  }
  for (const Buffer& buffer : buffers) {
    if (buffer.bytes == 0) continue;
    if (buffer.data == nullptr) return VEXKD_NULL_POINTER;
    const uintptr_t start = reinterpret_cast<uintptr_t>(buffer.data);
    if (start > UINTPTR_MAX - buffer.bytes) return VEXKD_TOO_LARGE;
    if (start % buffer.alignment != 0) return VEXKD_MISALIGNED;
  }
  for (const Buffer& one : buffers) {
    if (one.access != Access::kOutput || one.bytes == 0) continue;
    for (const Buffer& other : buffers) {
      if (&one == &other || other.bytes == 0) continue;
      const uintptr_t a = reinterpret_cast<uintptr_t>(one.data), b = reinterpret_cast<uintptr_t>(other.data);
      if (a < b + other.bytes && b < a + one.bytes) return VEXKD_OVERLAP;
    }
  }
  return VEXKD_OK;
}

// The workspace of a call that needs `needed` bytes. On the CPU null with size 0 asks for allocation by the call.
inline vexkd_status check_workspace(const void* workspace, size_t size, size_t needed, bool may_allocate) {
  if (needed > PTRDIFF_MAX) return VEXKD_TOO_LARGE;
  if (workspace == nullptr) {
    if (size != 0) return VEXKD_NULL_POINTER;
    return may_allocate || needed == 0 ? VEXKD_OK : VEXKD_NULL_POINTER;
  }
  return size < needed ? VEXKD_WORKSPACE_TOO_SMALL : VEXKD_OK;
}

// The part of a workspace that a call uses, for check_buffers; nothing when the call allocates its own. The operators
// align it themselves.
inline Buffer workspace_buffer(const void* workspace, size_t needed) {
  return {workspace, workspace == nullptr ? 0 : needed, 1, Access::kOutput};
}

inline size_t dtype_size(vexkd_dtype dtype) { return dtype == VEXKD_F16 ? 2 : 4; }

inline vexkd_status check_dtype(vexkd_dtype dtype) {
  return dtype == VEXKD_F32 || dtype == VEXKD_F16 ? VEXKD_OK : VEXKD_INVALID_ARGUMENT;
}

constexpr int32_t kPackedChannels = 8;  // of VEXKD_PACKED8

// A layout that an array of this dtype may have.
inline vexkd_status check_layout(vexkd_layout layout, vexkd_dtype dtype) {
  const bool packed = layout == VEXKD_PACKED8 && dtype == VEXKD_F16;
  return layout == VEXKD_PLANAR || packed ? VEXKD_OK : VEXKD_INVALID_ARGUMENT;
}

// A (planes, channels, height, width) array of a layout, for check_buffers.
inline Buffer map_buffer(const void* data, vexkd_layout layout, vexkd_dtype dtype, int64_t planes, int64_t channels,
                         int64_t height, int64_t width, Access access) {
  const size_t size = dtype_size(dtype);
  if (layout == VEXKD_PLANAR) {
    return {data, product({planes, channels, height, width, static_cast<int64_t>(size)}), size, access};
  }
  const int64_t packs = (channels + kPackedChannels - 1) / kPackedChannels;
  return {data, product({planes, height, width, packs, 16}), 16, access};
}

// A valid grid as types.h defines it.
vexkd_status check_grid(const vexkd_grid* grid);

// The operators' sizes and pointers, without the workspace. Arguments as in the public headers.
vexkd_status check_voxelize_sizes(int32_t batch, int32_t capacity, const vexkd_grid* grid);
vexkd_status check_voxelize(const float* points, const int32_t* counts, int32_t batch, int32_t capacity,
                            const vexkd_grid* grid, vexkd_dtype features_dtype, const void* features,
                            const int32_t* cells, Buffer workspace);

vexkd_status check_pillar_max_sizes(vexkd_dtype dtype, int32_t points, int32_t channels, int32_t batch, int32_t height,
                                    int32_t width);
vexkd_status check_pillar_max(const void* features, vexkd_dtype dtype, const int32_t* cells, int32_t points,
                              int32_t channels, int32_t batch, int32_t height, int32_t width, const void* bev,
                              const int32_t* argmax, vexkd_layout bev_layout, Buffer workspace);
vexkd_status check_pillar_max_backward(const void* grad_bev, vexkd_dtype dtype, const int32_t* argmax, int32_t points,
                                       int32_t channels, int32_t batch, int32_t height, int32_t width,
                                       const void* grad_features);

vexkd_status check_bev_pool_shape(vexkd_dtype dtype, const vexkd_bev_pool_shape* shape);
vexkd_status check_bev_pool(const void* depth, const void* context, vexkd_dtype dtype, const int32_t* points,
                            const int32_t* starts, const vexkd_bev_pool_shape* shape, const void* bev,
                            vexkd_layout context_layout, vexkd_layout bev_layout, Buffer workspace);
vexkd_status check_bev_pool_backward(const void* grad_bev, const void* depth, const void* context, vexkd_dtype dtype,
                                     const int32_t* points, const int32_t* starts, const vexkd_bev_pool_shape* shape,
                                     const void* grad_depth, const void* grad_context, Buffer workspace);

vexkd_status check_frustum_sizes(const vexkd_frustum_shape* shape, const vexkd_grid* grid);
vexkd_status check_frustum_sizes_on_cuda(const vexkd_frustum_shape* shape, const vexkd_grid* grid);
vexkd_status check_frustum_index(const float* rays, const float* origins, const float* depths,
                                 const vexkd_frustum_shape* shape, const vexkd_grid* grid, const int32_t* points,
                                 const int32_t* starts, Buffer workspace);

vexkd_status check_suppression(const float* boxes, const float* scores, const int32_t* groups, int32_t count,
                               vexkd_overlap overlap, const float* thresholds, int32_t group_count, const int32_t* kept,
                               const int32_t* kept_count, Buffer workspace);

// True for a pose as types.h has it; reads 16 elements.
bool is_pose(const double* matrix);

// Size of the whole resized image, of which prepare_images keeps a crop.
struct ResizedSize {
  int32_t height, width;
};
ResizedSize resized_size(const vexkd_image_shape& shape);
// The sides, without the number of views.
vexkd_status check_image_sides(const vexkd_image_shape& shape);
// Looks at mean and deviation, which lie in host memory.
vexkd_status check_image_preparation(const uint8_t* images, const vexkd_image_shape* shape, const float* mean,
                                     const float* deviation, vexkd_dtype dtype, vexkd_layout layout,
                                     const void* prepared);

}  // namespace vexkd

#endif
