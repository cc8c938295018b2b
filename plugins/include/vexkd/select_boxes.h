#ifndef VEXKD_SELECT_BOXES_H
#define VEXKD_SELECT_BOXES_H

#include "vexkd/nms.h"
#include "vexkd/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How boxes of one class give way to better ones. */
typedef struct vexkd_class_rule {
  int32_t group;         /**< classes with the same number are alternatives to each other */
  vexkd_overlap overlap; /**< what counts as the same object; the same one for all classes of a group */
  float limit;           /**< metres or IoU, by `overlap`, as the thresholds of nms.h */
  float scale;           /**< of length and width before the IoU; a circle ignores it */
} vexkd_class_rule;

/** From the decoded boxes of a network to those that are reported: suppression within each class, then among the
 * classes of a group.
 *
 * boxes       (count, 9) f32 as in nms.h.
 * scores      (count) f32.
 * labels      (count) i32: class of each box, 0 .. class_count - 1; a box of another class is dropped.
 * rules       (class_count).
 * kept        (count) i32: indices of the boxes that stay, by descending score, equal scores by ascending index; -1
 *             beyond them.
 * kept_count  (1) i32.
 *
 * First as vexkd_nms_cpu does with labels as groups, each class by its rule, and its boxes scaled; scores below the
 * least normal number of binary32 are dropped whatever score_threshold says: where a frame has too few peaks, the
 * decoder fills up with score 0. What is left is taken again, best first: a box that overlaps a taken one of another
 * class of its group by both classes' limits is dropped, so that an object is reported once, under its best name.
 * Classes of one group whose `overlap` differs do not meet.
 */
VEXKD_API vexkd_status vexkd_select_boxes_cpu(const float* boxes, const float* scores, const int32_t* labels,
                                              int32_t count, float score_threshold, const vexkd_class_rule* rules,
                                              int32_t class_count, int32_t* kept, int32_t* kept_count, void* workspace,
                                              size_t workspace_size);

/** Bytes of workspace for calls of up to `count` boxes. */
VEXKD_API vexkd_status vexkd_select_boxes_cpu_workspace(int32_t count, size_t* size);

#ifdef __cplusplus
}
#endif

#endif
