#ifndef VEXKD_NMS_H
#define VEXKD_NMS_H

#include "vexkd/types.h"

#define VEXKD_BOX_SIZE 9
#define VEXKD_NMS_CUDA_BOXES 65536

#ifdef __cplusplus
extern "C" {
#endif

typedef int32_t vexkd_overlap;
enum {
  VEXKD_CIRCLE = 0,     /**< centre distance in metres, below the threshold */
  VEXKD_ROTATED_IOU = 1 /**< intersection over union of the footprints, above the threshold */
};

/** Non-maximum suppression of boxes in bird's-eye view, per group of classes.
 *
 * boxes       (count, 9) f32: x, y, z, length, width, height, yaw, vx, vy; metres, radians counter-clockwise from +x.
 * scores      (count) f32.
 * groups      (count) i32: group of each box, 0 .. group_count - 1; boxes of different groups do not meet. A box of
 *             another group is dropped.
 * thresholds  (group_count) f32: metres or IoU, by `overlap`; NaN suppresses nothing.
 * kept        (count) i32: indices of the boxes that stay, by descending score, equal scores by ascending index; -1
 *             beyond them.
 * kept_count  (1) i32.
 *
 * Taken greedily: a box that overlaps an already kept one of its group is dropped. So is one whose score is not finite
 * or below score_threshold, or whose footprint is not finite (of a circle: x and y). Computed in binary64. A footprint
 * with a side <= 0 has no area, and IoU 0 with everything.
 */
VEXKD_API vexkd_status vexkd_nms_cpu(const float* boxes, const float* scores, const int32_t* groups, int32_t count,
                                     vexkd_overlap overlap, const float* thresholds, int32_t group_count,
                                     float score_threshold, int32_t* kept, int32_t* kept_count, void* workspace,
                                     size_t workspace_size);
/** As above; the last bit of an overlap may differ, for CUDA's sine and cosine round otherwise. At most
 * VEXKD_NMS_CUDA_BOXES boxes (else VEXKD_TOO_LARGE): the workspace holds a bit for every pair. */
VEXKD_API vexkd_status vexkd_nms_cuda(const float* boxes, const float* scores, const int32_t* groups, int32_t count,
                                      vexkd_overlap overlap, const float* thresholds, int32_t group_count,
                                      float score_threshold, int32_t* kept, int32_t* kept_count, void* workspace,
                                      size_t workspace_size, void* stream);

/** Bytes of workspace for calls of up to `count` boxes. */
VEXKD_API vexkd_status vexkd_nms_cpu_workspace(int32_t count, size_t* size);
VEXKD_API vexkd_status vexkd_nms_cuda_workspace(int32_t count, size_t* size);

/** Intersection over union of footprints: iou (first_count, second_count) f32 of boxes (…, 9) f32 as above; 0 where one
 * is not finite. Needs no workspace. `threads` as everywhere. */
VEXKD_API vexkd_status vexkd_rotated_iou_cpu(const float* first, int32_t first_count, const float* second,
                                             int32_t second_count, float* iou, int32_t threads);

#ifdef __cplusplus
}
#endif

#endif
