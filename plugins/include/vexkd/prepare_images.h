#ifndef VEXKD_PREPARE_IMAGES_H
#define VEXKD_PREPARE_IMAGES_H

#include "vexkd/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Sizes in pixels. Valid: views >= 0, all others from 1 to 2^15, raw image at least as wide or as high as its crop
 * needs, which the scale below ensures. */
typedef struct vexkd_image_shape {
  int32_t views;
  int32_t raw_height, raw_width;
  int32_t height, width; /**< of the prepared image */
} vexkd_image_shape;

/** Resize, crop and normalise the images of several cameras.
 *
 * images    (views, raw_height, raw_width, 3) u8, RGB.
 * mean      (3) f32, of 0 .. 255.
 * deviation (3) f32, positive.
 * prepared  (views, 3, height, width) of dtype and layout: (pixel - mean) / deviation.
 *
 * Scale s = max(height / raw_height, width / raw_width) in binary64; resized to (round(raw_height * s),
 * round(raw_width * s)), halves to even; cropped horizontally centred (an odd pixel goes right), vertically to the
 * bottom. Bilinear, no antialiasing, half-pixel centres, in binary32: position p of the resized axis reads
 * q = max((p + 0.5) * (raw / resized) - 0.5, 0), pixels i = floor(q) and min(i + 1, raw - 1) with weights 1 - (q - i)
 * and q - i; first along x, then along y.
 */
VEXKD_API vexkd_status vexkd_prepare_images_cpu(const uint8_t* images, const vexkd_image_shape* shape,
                                                const float* mean, const float* deviation, vexkd_dtype dtype,
                                                vexkd_layout layout, void* prepared, int32_t threads);
/** The same bits as on the CPU. `mean` and `deviation` are read by the call itself: like `shape`, they lie in host
 * memory. Needs no workspace. */
VEXKD_API vexkd_status vexkd_prepare_images_cuda(const uint8_t* images, const vexkd_image_shape* shape,
                                                 const float* mean, const float* deviation, vexkd_dtype dtype,
                                                 vexkd_layout layout, void* prepared, void* stream);

#ifdef __cplusplus
}
#endif

#endif
