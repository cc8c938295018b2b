#include "cuda_workspace.h"

#include "vexkd/nms.h"
#include "vexkd/pillar_max.h"
#include "vexkd/voxelize.h"

namespace vexkd {
namespace {

vexkd_status answer(size_t needed, size_t* size) {
  if (needed > PTRDIFF_MAX) return VEXKD_TOO_LARGE;
  *size = needed;
  return VEXKD_OK;
}

size_t channels_last_bytes(vexkd_dtype dtype, int64_t rows, int32_t channels) {
  return product({rows, padded_channels(dtype, channels), static_cast<int64_t>(dtype_size(dtype))});
}

}  // namespace

VoxelizeWorkspace plan_voxelize(void* base, int32_t batch, const vexkd_grid& grid) {
  WorkspaceParts parts(base);
  VoxelizeWorkspace plan{};
  plan.pillars = parts.take<PillarSums>(product({batch, grid.height, grid.width}));
  plan.size = parts.size();
  return plan;
}

PillarMaxWorkspace plan_pillar_max(void* base, int32_t points, int32_t batch, int32_t height, int32_t width) {
  WorkspaceParts parts(base);
  const size_t cells = product({batch, height, width});
  PillarMaxWorkspace plan{};
  plan.counts = parts.take<int32_t>(cells);
  plan.starts = parts.take<int32_t>(cells + 1);
  plan.order = parts.take<int32_t>(static_cast<size_t>(points));
  plan.tile_sums = parts.take<int32_t>((cells + kScanTile - 1) / kScanTile);
  plan.size = parts.size();
  return plan;
}

BevPoolWorkspace plan_bev_pool(void* base, vexkd_dtype dtype, const vexkd_bev_pool_shape& shape) {
  WorkspaceParts parts(base);
  const int64_t pixels = int64_t{shape.views} * shape.feature_height * shape.feature_width;
  BevPoolWorkspace plan{};
  plan.context = parts.take<char>(channels_last_bytes(dtype, pixels, shape.channels));
  plan.falls = parts.take<int32_t>(kCheckers);
  plan.size = parts.size();
  return plan;
}

BevPoolBackwardWorkspace plan_bev_pool_backward(void* base, vexkd_dtype dtype, const vexkd_bev_pool_shape& shape) {
  WorkspaceParts parts(base);
  const int64_t pixels = int64_t{shape.views} * shape.feature_height * shape.feature_width;
  const int64_t cells = int64_t{shape.batch} * shape.height * shape.width;
  BevPoolBackwardWorkspace plan{};
  plan.context = parts.take<char>(channels_last_bytes(dtype, pixels, shape.channels));
  plan.grad_bev = parts.take<char>(channels_last_bytes(dtype, cells, shape.channels));
  plan.cells = parts.take<int32_t>(product({pixels, shape.depths}));
  plan.falls = parts.take<int32_t>(kCheckers);
  plan.size = parts.size();
  return plan;
}

NmsWorkspace plan_nms(void* base, int32_t count) {
  WorkspaceParts parts(base);
  const auto boxes = static_cast<size_t>(count);
  NmsWorkspace plan{};
  plan.order = parts.take<int32_t>(boxes);
  plan.footprints = parts.take<BoxFootprint>(boxes);
  plan.overlaps = parts.take<uint64_t>(boxes * ((boxes + kNmsWord - 1) / kNmsWord));
  plan.size = parts.size();
  return plan;
}

}  // namespace vexkd

vexkd_status vexkd_voxelize_cuda_workspace(int32_t batch, int32_t capacity, const vexkd_grid* grid, size_t* size) {
  if (size == nullptr) return VEXKD_NULL_POINTER;
  const vexkd_status status = vexkd::check_voxelize_sizes(batch, capacity, grid);
  if (status != VEXKD_OK) return status;
  return vexkd::answer(vexkd::plan_voxelize(nullptr, batch, *grid).size, size);
}

vexkd_status vexkd_pillar_max_cuda_workspace(vexkd_dtype dtype, int32_t points, int32_t channels, int32_t batch,
                                             int32_t height, int32_t width, int32_t with_argmax, size_t* size) {
  if (size == nullptr) return VEXKD_NULL_POINTER;
  if (with_argmax != 0 && with_argmax != 1) return VEXKD_INVALID_ARGUMENT;
  const vexkd_status status = vexkd::check_pillar_max_sizes(dtype, points, channels, batch, height, width);
  if (status != VEXKD_OK) return status;
  return vexkd::answer(vexkd::plan_pillar_max(nullptr, points, batch, height, width).size, size);
}

vexkd_status vexkd_bev_pool_cuda_workspace(vexkd_dtype dtype, const vexkd_bev_pool_shape* shape, size_t* size) {
  if (size == nullptr) return VEXKD_NULL_POINTER;
  const vexkd_status status = vexkd::check_bev_pool_shape(dtype, shape);
  if (status != VEXKD_OK) return status;
  return vexkd::answer(vexkd::plan_bev_pool(nullptr, dtype, *shape).size, size);
}

vexkd_status vexkd_bev_pool_backward_cuda_workspace(vexkd_dtype dtype, const vexkd_bev_pool_shape* shape,
                                                    size_t* size) {
  if (size == nullptr) return VEXKD_NULL_POINTER;
  const vexkd_status status = vexkd::check_bev_pool_shape(dtype, shape);
  if (status != VEXKD_OK) return status;
  return vexkd::answer(vexkd::plan_bev_pool_backward(nullptr, dtype, *shape).size, size);
}

vexkd_status vexkd_nms_cuda_workspace(int32_t count, size_t* size) {
  if (size == nullptr) return VEXKD_NULL_POINTER;
  if (count < 0) return VEXKD_INVALID_ARGUMENT;
  if (count > VEXKD_NMS_CUDA_BOXES) return VEXKD_TOO_LARGE;
  return vexkd::answer(vexkd::plan_nms(nullptr, count).size, size);
}
