#ifndef VEXKD_FRUSTUM_INDEX_H
#define VEXKD_FRUSTUM_INDEX_H

#include "vexkd/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VEXKD_FRUSTUM_CUDA_DEPTHS 896 /**< depth bins of vexkd_frustum_index_cuda, at most */

/** Sizes of the frustum. Valid: all >= 1; views % batch == 0; views * depths * height * width < 2^31;
 * stride <= 2^20; batch times the grid's cells < 2^31 - 1. */
typedef struct vexkd_frustum_shape {
  int32_t batch;
  int32_t views;  /**< cameras of the whole batch, V; camera v belongs to sample v / (V / batch) */
  int32_t depths; /**< depth bins, D */
  int32_t height; /**< rows of the feature map, h */
  int32_t width;  /**< columns of the feature map, w */
  int32_t stride; /**< pixels of the prepared image per feature pixel */
} vexkd_frustum_shape;

/** frustum_index: the frustum points of all cameras sorted by BEV cell, from calibration.
 *
 * rays     (V, 3, 3) f32: maps (u, v, 1) of the prepared image to a direction in ego per metre of depth (m_ij).
 * origins  (V, 3) f32: camera centres in ego, metres (t_i).
 * depths   (D) f32: depth of each bin, metres; host memory for the CUDA function too, read before it returns.
 * points   (V * D * h * w) i32: flat indices ((v * D + d) * h + y) * w + x of the points inside the grid, sorted by
 *          cell and within a cell by index; -1 from starts[B * H * W] on.
 * starts   (B * H * W + 1) i32: cell c owns points[starts[c] .. starts[c + 1] - 1].
 *
 * Feature pixel (x, y) has its centre at u = (x + 0.5) * stride - 0.5, v likewise. Coordinate i of a point is
 * ((m_i0 * u + m_i1 * v) + m_i2) * d + t_i, in binary32 in this order, no fused multiply-add; its cell as in types.h.
 * Points that are not finite or out of range are dropped.
 */
VEXKD_API vexkd_status vexkd_frustum_index_cpu(const float* rays, const float* origins, const float* depths,
                                               const vexkd_frustum_shape* shape, const vexkd_grid* grid,
                                               int32_t* points, int32_t* starts, int32_t threads, void* workspace,
                                               size_t workspace_size);
VEXKD_API vexkd_status vexkd_frustum_index_cuda(const float* rays, const float* origins, const float* depths,
                                                const vexkd_frustum_shape* shape, const vexkd_grid* grid,
                                                int32_t* points, int32_t* starts, void* workspace,
                                                size_t workspace_size, void* stream);

/** Bytes of workspace for calls of this shape and of any that is no larger in each size, on this grid. */
VEXKD_API vexkd_status vexkd_frustum_index_cpu_workspace(const vexkd_frustum_shape* shape, const vexkd_grid* grid,
                                                         size_t* size);
VEXKD_API vexkd_status vexkd_frustum_index_cuda_workspace(const vexkd_frustum_shape* shape, const vexkd_grid* grid,
                                                          size_t* size);

#ifdef __cplusplus
}
#endif

#endif
