#ifndef VEXKD_VOXELIZE_H
#define VEXKD_VOXELIZE_H

#include "vexkd/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Voxelize: assign LiDAR points to the pillars of a grid and describe each point by its pillar.
 *
 * points    (batch * capacity, 5) f32: x, y, z in metres, intensity, age in seconds.
 * counts    (batch) i32: valid points of each sample; taken as 0 below 0 and as `capacity` above it.
 * features  (batch * capacity, 11) of features_dtype: the 5 inputs; o - m (3); o (3), where
 *             o = (x - cx, y - cy, z - cz): offset to the cell's centre in metres, cx = x_min + (ix + 0.5) * cell_x,
 *                 cy = y_min + (iy + 0.5) * cell_y, cz = (z_min + z_max) * 0.5;
 *             m: the mean of o over the pillar's points.
 * cells     (batch * capacity) i32: b * H * W + iy * W + ix, or -1 for a dropped point: at or beyond its count, out of
 *           range, or one of its 5 values not finite. A dropped point's features are all 0.
 *
 * The mean has the same bits for any order of the points. Per axis e in (cell_x, cell_y, z_max - z_min) with
 * e = f * 2^p, 0.5 <= f < 1, and k = 30 - p:
 *   q = round_half_even(clamp(o * 2^k, -2^30, 2^30)) as int32, summed over the pillar in int64 (no overflow below 2^31
 *   points), m = (float(sum) / float(count)) * 2^-k with both conversions rounded to nearest even.
 * All in binary32: cx is (ix + 0.5f) * cell_x, rounded, then + x_min. features_dtype F16 rounds once, at the end.
 *
 * batch >= 1, capacity >= 0, batch * capacity and batch * H * W < 2^31 (else VEXKD_TOO_LARGE).
 */
VEXKD_API vexkd_status vexkd_voxelize_cpu(const float* points, const int32_t* counts, int32_t batch, int32_t capacity,
                                          const vexkd_grid* grid, vexkd_dtype features_dtype, void* features,
                                          int32_t* cells, int32_t threads, void* workspace, size_t workspace_size);
VEXKD_API vexkd_status vexkd_voxelize_cuda(const float* points, const int32_t* counts, int32_t batch, int32_t capacity,
                                           const vexkd_grid* grid, vexkd_dtype features_dtype, void* features,
                                           int32_t* cells, void* workspace, size_t workspace_size, void* stream);

/** Bytes of workspace for calls of these sizes and smaller ones on the same grid. */
VEXKD_API vexkd_status vexkd_voxelize_cpu_workspace(int32_t batch, int32_t capacity, const vexkd_grid* grid,
                                                    size_t* size);
VEXKD_API vexkd_status vexkd_voxelize_cuda_workspace(int32_t batch, int32_t capacity, const vexkd_grid* grid,
                                                     size_t* size);

#ifdef __cplusplus
}
#endif

#endif
