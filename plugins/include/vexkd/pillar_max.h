#ifndef VEXKD_PILLAR_MAX_H
#define VEXKD_PILLAR_MAX_H

#include "vexkd/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** PillarMax: maximum of each channel over the points of each cell.
 *
 * features  (points, channels) of dtype.
 * cells     (points) i32; a point whose cell is not in 0 .. batch * height * width - 1 is dropped.
 * bev       (batch, channels, height, width) of dtype. 0 for a cell without points. NaN and -infinity are ignored: a
 *           cell whose points have nothing else in a channel has 0 there. -0 equals 0 and is written as +0.
 *           The same bits for any order of the points.
 * argmax    (batch, channels, height, width) i32, or null if not wanted: the lowest row that attains the maximum, -1
 *           where there is none.
 * bev_layout: VEXKD_PLANAR, or VEXKD_PACKED8 with dtype F16; the same bits either way. argmax is always planar.
 *
 * batch, height, width >= 1; points, channels >= 0; batch * height * width < 2^31;
 * the bytes of every array must fit in the address space (else VEXKD_TOO_LARGE).
 */
VEXKD_API vexkd_status vexkd_pillar_max_cpu(const void* features, vexkd_dtype dtype, const int32_t* cells,
                                            int32_t points, int32_t channels, int32_t batch, int32_t height,
                                            int32_t width, void* bev, int32_t* argmax, int32_t threads, void* workspace,
                                            size_t workspace_size);
VEXKD_API vexkd_status vexkd_pillar_max_cuda(const void* features, vexkd_dtype dtype, const int32_t* cells,
                                             int32_t points, int32_t channels, int32_t batch, int32_t height,
                                             int32_t width, void* bev, int32_t* argmax, vexkd_layout bev_layout,
                                             void* workspace, size_t workspace_size, void* stream);

/** Bytes of workspace for calls of these sizes and smaller ones; `with_argmax` 0 or 1. */
VEXKD_API vexkd_status vexkd_pillar_max_cpu_workspace(vexkd_dtype dtype, int32_t points, int32_t channels,
                                                      int32_t batch, int32_t height, int32_t width, int32_t with_argmax,
                                                      size_t* size);
VEXKD_API vexkd_status vexkd_pillar_max_cuda_workspace(vexkd_dtype dtype, int32_t points, int32_t channels,
                                                       int32_t batch, int32_t height, int32_t width,
                                                       int32_t with_argmax, size_t* size);

/** Gradient of PillarMax: each cell's gradient goes to the row that attained the maximum.
 *
 * grad_bev       (batch, channels, height, width) of dtype.
 * argmax         (batch, channels, height, width) i32 from the forward call; entries outside 0 .. points - 1 are
 *                skipped. No (row, channel) may appear twice: a forward call never gives such an argmax.
 * grad_features  (points, channels) of dtype; 0 where a feature was no maximum.
 *
 * Needs no workspace.
 */
VEXKD_API vexkd_status vexkd_pillar_max_backward_cpu(const void* grad_bev, vexkd_dtype dtype, const int32_t* argmax,
                                                     int32_t points, int32_t channels, int32_t batch, int32_t height,
                                                     int32_t width, void* grad_features, int32_t threads);
VEXKD_API vexkd_status vexkd_pillar_max_backward_cuda(const void* grad_bev, vexkd_dtype dtype, const int32_t* argmax,
                                                      int32_t points, int32_t channels, int32_t batch, int32_t height,
                                                      int32_t width, void* grad_features, void* stream);

#ifdef __cplusplus
}
#endif

#endif
