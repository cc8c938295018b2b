#include "vexkd/camera_rays.h"

#include <algorithm>
#include <cmath>

#include "checks.h"

namespace vexkd {
namespace {

constexpr Access kInput = Access::kInput, kOutput = Access::kOutput;
constexpr int64_t kSquare = 9, kPose = 16, kAxes = 3;

struct Matrix {
  double at[3][3];
};

struct Camera {
  float rays[kSquare], origin[kAxes];
};

// The upper left corner of a matrix whose rows have `stride` elements.
Matrix read(const double* from, int stride) {
  Matrix result;
  for (int i = 0; i < 3; ++i) std::copy_n(from + i * stride, 3, result.at[i]);
  return result;
}

Matrix multiply(const Matrix& a, const Matrix& b) {
  Matrix result;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) {
      result.at[i][j] = (a.at[i][0] * b.at[0][j] + a.at[i][1] * b.at[1][j]) + a.at[i][2] * b.at[2][j];
    }
  }
  return result;
}

double length(const double (&row)[3]) { return std::sqrt((row[0] * row[0] + row[1] * row[1]) + row[2] * row[2]); }

// False for a singular matrix, and for one of such a size that its products overflow or vanish.
bool invert(const Matrix& matrix, Matrix* inverse) {
  const auto& m = matrix.at;
  Matrix cofactors;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) {
      const int down = (i + 1) % 3, further_down = (i + 2) % 3, right = (j + 1) % 3, further_right = (j + 2) % 3;
      cofactors.at[i][j] =
          m[down][right] * m[further_down][further_right] - m[down][further_right] * m[further_down][right];
    }
  }
  const auto& c = cofactors.at;
  const double determinant = (m[0][0] * c[0][0] + m[0][1] * c[0][1]) + m[0][2] * c[0][2];
  const double largest = (length(m[0]) * length(m[1])) * length(m[2]);
  if (!(std::abs(determinant) > 0x1p-40 * largest) || !std::isfinite(determinant)) return false;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) inverse->at[j][i] = c[i][j] / determinant;
  }
  return true;
}

// False where the calibration is none.
bool aim(const double* intrinsics, const double* camera_to_ego, const double* transform, Camera* camera) {
  Matrix to_normal, to_raw;
  if (!is_pose(camera_to_ego) || !invert(read(intrinsics, 3), &to_normal) || !invert(read(transform, 3), &to_raw)) {
    return false;
  }
  const Matrix rays = multiply(read(camera_to_ego, 4), multiply(to_normal, to_raw));
  bool finite = true;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) camera->rays[i * 3 + j] = static_cast<float>(rays.at[i][j]);
    camera->origin[i] = static_cast<float>(camera_to_ego[i * 4 + 3]);
    finite &= std::isfinite(camera->origin[i]);
  }
  return finite && std::all_of(camera->rays, camera->rays + kSquare, [](float value) { return std::isfinite(value); });
}

}  // namespace
}  // namespace vexkd

vexkd_status vexkd_image_transform(const int32_t* raw_size, const int32_t* image_size, double* transform) {
  using namespace vexkd;
  vexkd_status status = check_buffers({
      {raw_size, 2 * sizeof(int32_t), sizeof(int32_t), kInput},
      {image_size, 2 * sizeof(int32_t), sizeof(int32_t), kInput},
      {transform, kSquare * sizeof(double), sizeof(double), kOutput},
  });
  if (status != VEXKD_OK) return status;
  const vexkd_image_shape shape = {1, raw_size[0], raw_size[1], image_size[0], image_size[1]};
  status = check_image_sides(shape);
  if (status != VEXKD_OK) return status;
  const ResizedSize resized = resized_size(shape);
  const double scale_y = static_cast<double>(resized.height) / shape.raw_height;
  const double scale_x = static_cast<double>(resized.width) / shape.raw_width;
  const int32_t crop_y = resized.height - shape.height, crop_x = (resized.width - shape.width) / 2;
  const double shift_y = 0.5 * scale_y - 0.5 - crop_y, shift_x = 0.5 * scale_x - 0.5 - crop_x;
  const double made[kSquare] = {scale_x, 0, shift_x, 0, scale_y, shift_y, 0, 0, 1};
  std::copy_n(made, kSquare, transform);
  return VEXKD_OK;
}

vexkd_status vexkd_camera_rays(const double* intrinsics, const double* camera_to_ego, const double* transforms,
                               int32_t views, float* rays, float* origins) {
  using namespace vexkd;
  if (views < 0) return VEXKD_INVALID_ARGUMENT;
  const vexkd_status status = check_buffers({
      {intrinsics, product({views, kSquare, sizeof(double)}), sizeof(double), kInput},
      {camera_to_ego, product({views, kPose, sizeof(double)}), sizeof(double), kInput},
      {transforms, product({views, kSquare, sizeof(double)}), sizeof(double), kInput},
      {rays, product({views, kSquare, sizeof(float)}), sizeof(float), kOutput},
      {origins, product({views, kAxes, sizeof(float)}), sizeof(float), kOutput},
  });
  if (status != VEXKD_OK) return status;
  const auto of = [&](int64_t view, Camera* camera) {
    return aim(intrinsics + view * kSquare, camera_to_ego + view * kPose, transforms + view * kSquare, camera);
  };
  // Twice, because nothing is written before all are known to be sound.
  Camera camera;
  for (int64_t view = 0; view < views; ++view) {
    if (!of(view, &camera)) return VEXKD_INVALID_ARGUMENT;
  }
  for (int64_t view = 0; view < views; ++view) {
    of(view, &camera);
    std::copy_n(camera.rays, kSquare, rays + view * kSquare);
    std::copy_n(camera.origin, kAxes, origins + view * kAxes);
  }
  return VEXKD_OK;
}
