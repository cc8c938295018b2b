#ifndef VEXKD_ACCUMULATE_SWEEPS_H
#define VEXKD_ACCUMULATE_SWEEPS_H

#include "vexkd/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One turn of a LiDAR. Valid: count >= 0; stride >= 4; intensity_scale > 0, own_vehicle >= 0 and age finite; a
 * sensor_to_ego that is a pose as types.h has it. */
typedef struct vexkd_sweep {
  const float* points;         /**< (count, stride): x, y, z in the sensor's frame, metres, then raw intensity */
  int32_t count;               /**< points */
  int32_t stride;              /**< floats per point; those from the fifth on are not read */
  float intensity_scale;       /**< raw units of the intensity 1, e.g. 255 */
  float age;                   /**< seconds before the keyframe */
  const double* sensor_to_ego; /**< (4, 4): the sensor at the sweep's time to ego at the keyframe's LiDAR timestamp */
  float own_vehicle;           /**< metres: a point with |x| and |y| below it lies on the vehicle; 0 keeps all */
} vexkd_sweep;

/** The points of several sweeps in one frame, as Voxelize takes them.
 *
 * sweeps   (sweep_count), in host memory, newest first: what does not fit is dropped from the end.
 * points   (capacity, 5) f32: x, y, z in ego, intensity / intensity_scale, age; in the order of the sweeps and of their
 *          points; zeros from `count` on.
 * count    (1) i32: points written.
 * dropped  (1) i32: points that did not fit; those on the vehicle are not counted.
 *
 * A coordinate is ((m_0 * x + m_1 * y) + m_2 * z) + m_3 in binary64 with the row m of sensor_to_ego, rounded once; the
 * intensity's division is in binary32; no fused multiply-add. A point whose x or y is not finite is none on the
 * vehicle, and kept: Voxelize drops it.
 *
 * capacity and sweep_count >= 0. VEXKD_TOO_LARGE where the sweeps have 2^31 points or more. Needs no workspace.
 */
VEXKD_API vexkd_status vexkd_accumulate_sweeps_cpu(const vexkd_sweep* sweeps, int32_t sweep_count, int32_t capacity,
                                                   float* points, int32_t* count, int32_t* dropped, int32_t threads);

/** A cloud (point_count, 5) f32 that is in ego already, brought to a fixed capacity: `points`, `count` and `dropped` as
 * above, values copied as they are. */
VEXKD_API vexkd_status vexkd_pad_points(const float* cloud, int32_t point_count, int32_t capacity, float* points,
                                        int32_t* count, int32_t* dropped);

#ifdef __cplusplus
}
#endif

#endif
