// The *_cuda entry points of a library built without nvcc: they exist, and say so. The workspace queries are answered
// by cuda_workspace.cpp in every build.
#include "vexkd/bev_pool.h"
#include "vexkd/frustum_index.h"
#include "vexkd/nms.h"
#include "vexkd/pillar_max.h"
#include "vexkd/prepare_images.h"
#include "vexkd/voxelize.h"

vexkd_status vexkd_voxelize_cuda(const float*, const int32_t*, int32_t, int32_t, const vexkd_grid*, vexkd_dtype, void*,
                                 int32_t*, void*, size_t, void*) {
  return VEXKD_UNSUPPORTED;
}

vexkd_status vexkd_pillar_max_cuda(const void*, vexkd_dtype, const int32_t*, int32_t, int32_t, int32_t, int32_t,
                                   int32_t, void*, int32_t*, vexkd_layout, void*, size_t, void*) {
  return VEXKD_UNSUPPORTED;
}

vexkd_status vexkd_pillar_max_backward_cuda(const void*, vexkd_dtype, const int32_t*, int32_t, int32_t, int32_t,
                                            int32_t, int32_t, void*, void*) {
  return VEXKD_UNSUPPORTED;
}

vexkd_status vexkd_bev_pool_cuda(const void*, const void*, vexkd_dtype, const int32_t*, const int32_t*,
                                 const vexkd_bev_pool_shape*, void*, vexkd_layout, vexkd_layout, void*, size_t, void*) {
  return VEXKD_UNSUPPORTED;
}

vexkd_status vexkd_bev_pool_backward_cuda(const void*, const void*, const void*, vexkd_dtype, const int32_t*,
                                          const int32_t*, const vexkd_bev_pool_shape*, void*, void*, void*, size_t,
                                          void*) {
  return VEXKD_UNSUPPORTED;
}

vexkd_status vexkd_frustum_index_cuda(const float*, const float*, const float*, const vexkd_frustum_shape*,
                                      const vexkd_grid*, int32_t*, int32_t*, void*, size_t, void*) {
  return VEXKD_UNSUPPORTED;
}

vexkd_status vexkd_nms_cuda(const float*, const float*, const int32_t*, int32_t, vexkd_overlap, const float*, int32_t,
                            float, int32_t*, int32_t*, void*, size_t, void*) {
  return VEXKD_UNSUPPORTED;
}

vexkd_status vexkd_prepare_images_cuda(const uint8_t*, const vexkd_image_shape*, const float*, const float*,
                                       vexkd_dtype, vexkd_layout, void*, void*) {
  return VEXKD_UNSUPPORTED;
}
