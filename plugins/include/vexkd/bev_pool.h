#ifndef VEXKD_BEV_POOL_H
#define VEXKD_BEV_POOL_H

#include "vexkd/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Sizes of one BevPool call. Valid: views, depths, feature_height, feature_width, batch, height, width >= 1;
 * channels, points >= 0; views * depths * feature_height * feature_width < 2^31; batch * height * width < 2^31 - 1;
 * every array's bytes fit in the address space. */
typedef struct vexkd_bev_pool_shape {
  int32_t views;          /**< cameras of the whole batch, V */
  int32_t depths;         /**< depth bins, D */
  int32_t feature_height; /**< h */
  int32_t feature_width;  /**< w */
  int32_t channels;       /**< C */
  int32_t points;         /**< capacity of the point list, K */
  int32_t batch;          /**< B */
  int32_t height;         /**< cells along y, H */
  int32_t width;          /**< cells along x, W */
} vexkd_bev_pool_shape;

/** BevPool: sum of depth * context over the frustum points of each cell (lift-splat).
 *
 * depth    (V, D, h, w) of dtype.
 * context  (V, C, h, w) of dtype.
 * points   (K) i32: frustum points as flat indices ((v * D + d) * h + y) * w + x, sorted by cell; entries outside
 *          0 .. V*D*h*w - 1 are skipped.
 * starts   (B * H * W + 1) i32: cell c owns points[starts[c] .. starts[c + 1] - 1]. A start is taken as 0 below 0 and
 *          as K above it. If then any start is below the one before it, this is no table of row starts, and every cell
 *          is empty: whatever the contents (uninitialised memory), no point is visited twice, and the work is
 *          O((K + B * H * W) * C).
 * bev      (B, C, H, W) of dtype; 0 for an empty cell.
 * context_layout, bev_layout: VEXKD_PLANAR, or VEXKD_PACKED8 with dtype F16; the same bits either way.
 *
 * Products and sums are binary32 in the order of the list, one multiplication and one addition per point, not fused
 * on the CPU; dtype F16 rounds once, at the end.
 */
VEXKD_API vexkd_status vexkd_bev_pool_cpu(const void* depth, const void* context, vexkd_dtype dtype,
                                          const int32_t* points, const int32_t* starts,
                                          const vexkd_bev_pool_shape* shape, void* bev, int32_t threads,
                                          void* workspace, size_t workspace_size);
VEXKD_API vexkd_status vexkd_bev_pool_cuda(const void* depth, const void* context, vexkd_dtype dtype,
                                           const int32_t* points, const int32_t* starts,
                                           const vexkd_bev_pool_shape* shape, void* bev, vexkd_layout context_layout,
                                           vexkd_layout bev_layout, void* workspace, size_t workspace_size,
                                           void* stream);

/** Bytes of workspace for calls of this shape and of any that is no larger in each size. */
VEXKD_API vexkd_status vexkd_bev_pool_cpu_workspace(vexkd_dtype dtype, const vexkd_bev_pool_shape* shape, size_t* size);
VEXKD_API vexkd_status vexkd_bev_pool_cuda_workspace(vexkd_dtype dtype, const vexkd_bev_pool_shape* shape,
                                                     size_t* size);

/** Gradients of BevPool.
 *
 * grad_bev      (B, C, H, W) of dtype.
 * depth, context, points, starts: as in the forward call. No frustum point may be listed twice (frustum_index never
 *               does); if one is, the gradients are those of one of its entries.
 * grad_depth    (V, D, h, w) of dtype, or null if not wanted: per listed point the dot product over the channels of
 *               its cell's gradient with its context; 0 for a point that is not listed.
 * grad_context  (V, C, h, w) of dtype, or null if not wanted: per pixel the sum over the depth bins, in their order,
 *               of depth * gradient of the point's cell.
 *
 * Sums are binary32; dtype F16 rounds once, at the end.
 */
VEXKD_API vexkd_status vexkd_bev_pool_backward_cpu(const void* grad_bev, const void* depth, const void* context,
                                                   vexkd_dtype dtype, const int32_t* points, const int32_t* starts,
                                                   const vexkd_bev_pool_shape* shape, void* grad_depth,
                                                   void* grad_context, int32_t threads, void* workspace,
                                                   size_t workspace_size);
VEXKD_API vexkd_status vexkd_bev_pool_backward_cuda(const void* grad_bev, const void* depth, const void* context,
                                                    vexkd_dtype dtype, const int32_t* points, const int32_t* starts,
                                                    const vexkd_bev_pool_shape* shape, void* grad_depth,
                                                    void* grad_context, void* workspace, size_t workspace_size,
                                                    void* stream);

/** Bytes of workspace for backward calls of this shape and of any that is no larger in each size. */
VEXKD_API vexkd_status vexkd_bev_pool_backward_cpu_workspace(vexkd_dtype dtype, const vexkd_bev_pool_shape* shape,
                                                             size_t* size);
VEXKD_API vexkd_status vexkd_bev_pool_backward_cuda_workspace(vexkd_dtype dtype, const vexkd_bev_pool_shape* shape,
                                                              size_t* size);

#ifdef __cplusplus
}
#endif

#endif
