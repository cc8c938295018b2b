#include "checks.h"

#include <algorithm>
#include <cmath>

namespace vexkd {
namespace {

constexpr Access kInput = Access::kInput, kOutput = Access::kOutput;

bool usable_length(float length) { return length >= 0x1p-20F && length <= 0x1p20F; }

// Number of cells along one axis; negative when it is no whole number >= 1 that fits in int32.
double axis_cells(float low, float high, float cell) {
  if (!std::isfinite(low) || !std::isfinite(high) || !(low < high) || !usable_length(cell)) return -1;
  const double cells = std::nearbyint((static_cast<double>(high) - low) / cell);
  return cells >= 1 ? cells : -1;
}

vexkd_status first(std::initializer_list<vexkd_status> statuses) {
  for (vexkd_status status : statuses) {
    if (status != VEXKD_OK) return status;
  }
  return VEXKD_OK;
}

}  // namespace

vexkd_status check_grid(const vexkd_grid* grid) {
  if (grid == nullptr) return VEXKD_NULL_POINTER;
  const float range[6] = {grid->x_min, grid->y_min, grid->z_min, grid->x_max, grid->y_max, grid->z_max};
  const float cell[2] = {grid->cell_x, grid->cell_y};
  vexkd_grid made;
  const vexkd_status status = vexkd_make_grid(range, cell, &made);
  if (status != VEXKD_OK) return status;
  return made.height == grid->height && made.width == grid->width ? VEXKD_OK : VEXKD_INVALID_ARGUMENT;
}

vexkd_status check_voxelize_sizes(int32_t batch, int32_t capacity, const vexkd_grid* grid) {
  const vexkd_status status = check_grid(grid);
  if (status != VEXKD_OK) return status;
  if (batch < 1 || capacity < 0) return VEXKD_INVALID_ARGUMENT;
  const bool fits = fits_int32({batch, capacity}) && fits_int32({batch, grid->height, grid->width});
  return fits ? VEXKD_OK : VEXKD_TOO_LARGE;
}

vexkd_status check_voxelize(const float* points, const int32_t* counts, int32_t batch, int32_t capacity,
                            const vexkd_grid* grid, vexkd_dtype features_dtype, const void* features,
                            const int32_t* cells, Buffer workspace) {
  const vexkd_status status = first({check_voxelize_sizes(batch, capacity, grid), check_dtype(features_dtype)});
  if (status != VEXKD_OK) return status;
  const size_t size = dtype_size(features_dtype);
  return check_buffers({
      {points, product({batch, capacity, VEXKD_POINT_SIZE, 4}), 4, kInput},
      {counts, product({batch, 4}), 4, kInput},
      {features, product({batch, capacity, VEXKD_POINT_FEATURES, static_cast<int64_t>(size)}), size, kOutput},
      {cells, product({batch, capacity, 4}), 4, kOutput},
      workspace,
  });
}

vexkd_status check_pillar_max_sizes(vexkd_dtype dtype, int32_t points, int32_t channels, int32_t batch, int32_t height,
                                    int32_t width) {
  if (check_dtype(dtype) != VEXKD_OK) return VEXKD_INVALID_ARGUMENT;
  if (points < 0 || channels < 0 || batch < 1 || height < 1 || width < 1) return VEXKD_INVALID_ARGUMENT;
  return fits_int32({batch, height, width}) ? VEXKD_OK : VEXKD_TOO_LARGE;
}

vexkd_status check_pillar_max(const void* features, vexkd_dtype dtype, const int32_t* cells, int32_t points,
                              int32_t channels, int32_t batch, int32_t height, int32_t width, const void* bev,
                              const int32_t* argmax, vexkd_layout bev_layout, Buffer workspace) {
  VEXKD_TRY(check_pillar_max_sizes(dtype, points, channels, batch, height, width));
  VEXKD_TRY(check_layout(bev_layout, dtype));
  const int64_t size = static_cast<int64_t>(dtype_size(dtype));
  const size_t indices = argmax == nullptr ? 0 : product({batch, channels, height, width, 4});
  return check_buffers({
      {features, product({points, channels, size}), dtype_size(dtype), kInput},
      {cells, product({points, 4}), 4, kInput},
      map_buffer(bev, bev_layout, dtype, batch, channels, height, width, kOutput),
      {argmax, indices, 4, kOutput},
      workspace,
  });
}

vexkd_status check_pillar_max_backward(const void* grad_bev, vexkd_dtype dtype, const int32_t* argmax, int32_t points,
                                       int32_t channels, int32_t batch, int32_t height, int32_t width,
                                       const void* grad_features) {
  const vexkd_status status = check_pillar_max_sizes(dtype, points, channels, batch, height, width);
  if (status != VEXKD_OK) return status;
  const int64_t size = static_cast<int64_t>(dtype_size(dtype));
  return check_buffers({
      {grad_bev, product({batch, channels, height, width, size}), dtype_size(dtype), kInput},
      {argmax, product({batch, channels, height, width, 4}), 4, kInput},
      {grad_features, product({points, channels, size}), dtype_size(dtype), kOutput},
  });
}

vexkd_status check_bev_pool_shape(vexkd_dtype dtype, const vexkd_bev_pool_shape* shape) {
  if (shape == nullptr) return VEXKD_NULL_POINTER;
  const vexkd_bev_pool_shape& s = *shape;
  if (check_dtype(dtype) != VEXKD_OK) return VEXKD_INVALID_ARGUMENT;
  if (s.views < 1 || s.depths < 1 || s.feature_height < 1 || s.feature_width < 1 || s.channels < 0 || s.points < 0 ||
      s.batch < 1 || s.height < 1 || s.width < 1) {
    return VEXKD_INVALID_ARGUMENT;
  }
  const bool fits = fits_int32({s.views, s.depths, s.feature_height, s.feature_width}) &&
                    product({s.batch, s.height, s.width}) < INT32_MAX;
  return fits ? VEXKD_OK : VEXKD_TOO_LARGE;
}

vexkd_status check_bev_pool(const void* depth, const void* context, vexkd_dtype dtype, const int32_t* points,
                            const int32_t* starts, const vexkd_bev_pool_shape* shape, const void* bev,
                            vexkd_layout context_layout, vexkd_layout bev_layout, Buffer workspace) {
  VEXKD_TRY(check_bev_pool_shape(dtype, shape));
  VEXKD_TRY(check_layout(context_layout, dtype));
  VEXKD_TRY(check_layout(bev_layout, dtype));
  const vexkd_bev_pool_shape& s = *shape;
  const size_t alignment = dtype_size(dtype);
  const int64_t size = static_cast<int64_t>(alignment);
  return check_buffers({
      {depth, product({s.views, s.depths, s.feature_height, s.feature_width, size}), alignment, kInput},
      map_buffer(context, context_layout, dtype, s.views, s.channels, s.feature_height, s.feature_width, kInput),
      {points, product({s.points, 4}), 4, kInput},
      {starts, (product({s.batch, s.height, s.width}) + 1) * 4, 4, kInput},
      map_buffer(bev, bev_layout, dtype, s.batch, s.channels, s.height, s.width, kOutput),
      workspace,
  });
}

vexkd_status check_bev_pool_backward(const void* grad_bev, const void* depth, const void* context, vexkd_dtype dtype,
                                     const int32_t* points, const int32_t* starts, const vexkd_bev_pool_shape* shape,
                                     const void* grad_depth, const void* grad_context, Buffer workspace) {
  const vexkd_status status = check_bev_pool_shape(dtype, shape);
  if (status != VEXKD_OK) return status;
  const vexkd_bev_pool_shape& s = *shape;
  const size_t alignment = dtype_size(dtype);
  const int64_t size = static_cast<int64_t>(alignment);
  const size_t depth_bytes = product({s.views, s.depths, s.feature_height, s.feature_width, size});
  const size_t context_bytes = product({s.views, s.channels, s.feature_height, s.feature_width, size});
  return check_buffers({
      {grad_bev, product({s.batch, s.channels, s.height, s.width, size}), alignment, kInput},
      {depth, depth_bytes, alignment, kInput},
      {context, context_bytes, alignment, kInput},
      {points, product({s.points, 4}), 4, kInput},
      {starts, (product({s.batch, s.height, s.width}) + 1) * 4, 4, kInput},
      {grad_depth, grad_depth == nullptr ? 0 : depth_bytes, alignment, kOutput},
      {grad_context, grad_context == nullptr ? 0 : context_bytes, alignment, kOutput},
      workspace,
  });
}

vexkd_status check_frustum_sizes(const vexkd_frustum_shape* shape, const vexkd_grid* grid) {
  if (shape == nullptr) return VEXKD_NULL_POINTER;
  const vexkd_status status = check_grid(grid);
  if (status != VEXKD_OK) return status;
  const vexkd_frustum_shape& s = *shape;
  if (s.batch < 1 || s.views < 1 || s.depths < 1 || s.height < 1 || s.width < 1 || s.stride < 1 ||
      s.stride > (1 << 20) || s.views % s.batch != 0) {
    return VEXKD_INVALID_ARGUMENT;
  }
  const bool fits =
      fits_int32({s.views, s.depths, s.height, s.width}) && product({s.batch, grid->height, grid->width}) < INT32_MAX;
  return fits ? VEXKD_OK : VEXKD_TOO_LARGE;
}

vexkd_status check_frustum_sizes_on_cuda(const vexkd_frustum_shape* shape, const vexkd_grid* grid) {
  const vexkd_status status = check_frustum_sizes(shape, grid);
  if (status != VEXKD_OK) return status;
  return shape->depths <= VEXKD_FRUSTUM_CUDA_DEPTHS ? VEXKD_OK : VEXKD_TOO_LARGE;
}

vexkd_status check_frustum_index(const float* rays, const float* origins, const float* depths,
                                 const vexkd_frustum_shape* shape, const vexkd_grid* grid, const int32_t* points,
                                 const int32_t* starts, Buffer workspace) {
  const vexkd_status status = check_frustum_sizes(shape, grid);
  if (status != VEXKD_OK) return status;
  const vexkd_frustum_shape& s = *shape;
  return check_buffers({
      {rays, product({s.views, 9, 4}), 4, kInput},
      {origins, product({s.views, 3, 4}), 4, kInput},
      {depths, product({s.depths, 4}), 4, kInput},
      {points, product({s.views, s.depths, s.height, s.width, 4}), 4, kOutput},
      {starts, (product({s.batch, grid->height, grid->width}) + 1) * 4, 4, kOutput},
      workspace,
  });
}

vexkd_status check_suppression(const float* boxes, const float* scores, const int32_t* groups, int32_t count,
                               vexkd_overlap overlap, const float* thresholds, int32_t group_count, const int32_t* kept,
                               const int32_t* kept_count, Buffer workspace) {
  if (count < 0 || group_count < 0) return VEXKD_INVALID_ARGUMENT;
  if (overlap != VEXKD_CIRCLE && overlap != VEXKD_ROTATED_IOU) return VEXKD_INVALID_ARGUMENT;
  return check_buffers({
      {boxes, product({count, VEXKD_BOX_SIZE, 4}), 4, kInput},
      {scores, product({count, 4}), 4, kInput},
      {groups, product({count, 4}), 4, kInput},
      {thresholds, product({group_count, 4}), 4, kInput},
      {kept, product({count, 4}), 4, kOutput},
      {kept_count, 4, 4, kOutput},
      workspace,
  });
}

bool is_pose(const double* matrix) {
  constexpr double kTolerance = 1e-3;
  if (!std::all_of(matrix, matrix + 16, [](double value) { return std::isfinite(value); })) return false;
  for (int column = 0; column < 4; ++column) {
    if (std::abs(matrix[12 + column] - (column == 3 ? 1 : 0)) > kTolerance) return false;
  }
  const auto dot = [&](int i, int j) {
    const double *a = matrix + 4 * i, *b = matrix + 4 * j;
    return (a[0] * b[0] + a[1] * b[1]) + a[2] * b[2];
  };
  const double square = ((dot(0, 0) + dot(1, 1)) + dot(2, 2)) / 3;
  if (!(square > 0)) return false;
  for (int i = 0; i < 3; ++i) {
    for (int j = i; j < 3; ++j) {
      if (!(std::abs(dot(i, j) - (i == j ? square : 0)) <= kTolerance * square)) return false;
    }
  }
  return true;
}

ResizedSize resized_size(const vexkd_image_shape& shape) {
  const double scale = std::max(static_cast<double>(shape.height) / shape.raw_height,
                                static_cast<double>(shape.width) / shape.raw_width);
  const auto resized = [&](int32_t raw) { return static_cast<int32_t>(std::nearbyint(raw * scale)); };
  return {resized(shape.raw_height), resized(shape.raw_width)};
}

vexkd_status check_image_sides(const vexkd_image_shape& shape) {
  constexpr int32_t kMaxSide = 1 << 15;
  for (int32_t side : {shape.raw_height, shape.raw_width, shape.height, shape.width}) {
    if (side < 1) return VEXKD_INVALID_ARGUMENT;
    if (side > kMaxSide) return VEXKD_TOO_LARGE;
  }
  // An extreme aspect ratio: the longer axis of the resized image is at most 2^30 pixels, the shorter may vanish.
  const ResizedSize resized = resized_size(shape);
  return resized.width >= shape.width && resized.height >= shape.height ? VEXKD_OK : VEXKD_INVALID_ARGUMENT;
}

vexkd_status check_image_preparation(const uint8_t* images, const vexkd_image_shape* shape, const float* mean,
                                     const float* deviation, vexkd_dtype dtype, vexkd_layout layout,
                                     const void* prepared) {
  constexpr int64_t kChannels = 3;
  if (shape == nullptr || mean == nullptr || deviation == nullptr) return VEXKD_NULL_POINTER;
  if (shape->views < 0) return VEXKD_INVALID_ARGUMENT;
  vexkd_status status = first({check_dtype(dtype), check_layout(layout, dtype), check_image_sides(*shape)});
  if (status != VEXKD_OK) return status;
  status = check_buffers({
      {images, product({shape->views, shape->raw_height, shape->raw_width, kChannels}), 1, kInput},
      {mean, kChannels * 4, 4, kInput},
      {deviation, kChannels * 4, 4, kInput},
      map_buffer(prepared, layout, dtype, shape->views, kChannels, shape->height, shape->width, kOutput),
  });
  if (status != VEXKD_OK) return status;
  for (int64_t channel = 0; channel < kChannels; ++channel) {
    if (!std::isfinite(mean[channel]) || !std::isfinite(deviation[channel]) || !(deviation[channel] > 0)) {
      return VEXKD_INVALID_ARGUMENT;
    }
  }
  return VEXKD_OK;
}

}  // namespace vexkd

vexkd_status vexkd_make_grid(const float* range, const float* cell, vexkd_grid* grid) {
  if (range == nullptr || cell == nullptr || grid == nullptr) return VEXKD_NULL_POINTER;
  const double width = vexkd::axis_cells(range[0], range[3], cell[0]);
  const double height = vexkd::axis_cells(range[1], range[4], cell[1]);
  const bool z_valid = std::isfinite(range[2]) && std::isfinite(range[5]) && vexkd::usable_length(range[5] - range[2]);
  if (width < 0 || height < 0 || !z_valid) return VEXKD_INVALID_ARGUMENT;
  if (width > INT32_MAX || height > INT32_MAX || width * height > INT32_MAX) return VEXKD_TOO_LARGE;
  *grid = {range[0],
           range[1],
           range[2],
           range[3],
           range[4],
           range[5],
           cell[0],
           cell[1],
           static_cast<int32_t>(height),
           static_cast<int32_t>(width)};
  return VEXKD_OK;
}
