#ifndef VEXKD_SELECT_BOXES_H
#define VEXKD_SELECT_BOXES_H

#include "vexkd/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** From the decoded boxes of a network to those that are reported: circle suppression within each class, then among the
 * classes of a group.
 *
 * boxes       (count, 9) f32 as in nms.h, of which x and y are read.
 * scores      (count) f32.
 * labels      (count) i32: class of each box, 0 .. class_count - 1; a box of another class is dropped.
 * groups      (class_count) i32: classes with the same number are alternatives to each other.
 * radii       (class_count) f32, metres; of 0 and below, and NaN, suppresses nothing.
 * kept        (count) i32: indices of the boxes that stay, by descending score, equal scores by ascending index; -1
 *             beyond them.
 * kept_count  (1) i32.
 *
 * First vexkd_nms_cpu by circles with labels as groups and radii as thresholds; scores below the least normal number of
 * binary32 are dropped whatever score_threshold says: where a frame has too few peaks, the decoder fills up with score
 * 0. What is left is taken again, best first: a box that lies nearer to a taken one of another class of its group than
 * the smaller of both classes' radii is dropped (binary64), so that an object is reported once, under its best name.
 */
VEXKD_API vexkd_status vexkd_select_boxes_cpu(const float* boxes, const float* scores, const int32_t* labels,
                                              int32_t count, float score_threshold, const int32_t* groups,
                                              const float* radii, int32_t class_count, int32_t* kept,
                                              int32_t* kept_count, void* workspace, size_t workspace_size);

/** Bytes of workspace for calls of up to `count` boxes. */
VEXKD_API vexkd_status vexkd_select_boxes_cpu_workspace(int32_t count, size_t* size);

#ifdef __cplusplus
}
#endif

#endif
