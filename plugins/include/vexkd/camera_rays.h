#ifndef VEXKD_CAMERA_RAYS_H
#define VEXKD_CAMERA_RAYS_H

#include "vexkd/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Matrix that maps a raw pixel (u, v, 1) to the prepared image of a camera, for the resize and crop of
 * prepare_images.h.
 *
 * raw_size    (2) i32: height and width of the camera's image, pixels.
 * image_size  (2) i32: height and width of the prepared image, pixels.
 * transform   (3, 3) f64.
 *
 * Pixel i covers [i, i + 1) and its centre has the coordinate i, so that prepared + 0.5 = (raw + 0.5) * scale - crop:
 * per axis scale = resized / raw, shift = (0.5 * scale - 0.5) - crop, in binary64 in this order. Sizes as in
 * vexkd_image_shape.
 */
VEXKD_API vexkd_status vexkd_image_transform(const int32_t* raw_size, const int32_t* image_size, double* transform);

/** Rays of the prepared pixels in ego: a point at depth d on pixel (u, v) is rays * (u, v, 1) * d + origin.
 *
 * intrinsics     (views, 3, 3) f64 of the raw images.
 * camera_to_ego  (views, 4, 4) f64, metres.
 * transforms     (views, 3, 3) f64 from raw to prepared pixels.
 * rays           (views, 3, 3) f32 = R * (K^-1 * A^-1), R being the upper left (3, 3) of camera_to_ego.
 * origins        (views, 3) f32: its last column.
 *
 * In binary64, rounded once at the end, no fused multiply-add. Products add (a_i0 * b_0j + a_i1 * b_1j) + a_i2 * b_2j.
 * Inverses are adjugate / determinant, which keeps the exact zeros of camera matrices: with indices modulo 3
 *   c_ij = m[i+1][j+1] * m[i+2][j+2] - m[i+1][j+2] * m[i+2][j+1],
 *   det = (m[0][0] * c_00 + m[0][1] * c_01) + m[0][2] * c_02, inverse[j][i] = c_ij / det.
 *
 * VEXKD_INVALID_ARGUMENT: views < 0; a value that is not finite, of an input or of a result; intrinsics or a transform
 * that are singular, |det| <= 2^-40 times the product of the lengths of the three rows (real ones have 1e-3 and more);
 * a camera_to_ego that is no pose as types.h has it.
 */
VEXKD_API vexkd_status vexkd_camera_rays(const double* intrinsics, const double* camera_to_ego,
                                         const double* transforms, int32_t views, float* rays, float* origins);

#ifdef __cplusplus
}
#endif

#endif
