// Rigid transforms as row-major 4x4 matrices.
#pragma once

#include <cmath>

#include "vexkd/frame.hpp"

using vexkd::Matrix4;

// From a unit quaternion (w, x, y, z) and a translation in metres.
inline Matrix4 rigid(const double* q, const double* t) {
  const double norm = std::sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
  const double w = q[0] / norm, x = q[1] / norm, y = q[2] / norm, z = q[3] / norm;
  return {1 - 2 * (y * y + z * z),
          2 * (x * y - w * z),
          2 * (x * z + w * y),
          t[0],
          2 * (x * y + w * z),
          1 - 2 * (x * x + z * z),
          2 * (y * z - w * x),
          t[1],
          2 * (x * z - w * y),
          2 * (y * z + w * x),
          1 - 2 * (x * x + y * y),
          t[2],
          0,
          0,
          0,
          1};
}

inline Matrix4 operator*(const Matrix4& a, const Matrix4& b) {
  Matrix4 product{};
  for (size_t row = 0; row < 4; ++row) {
    for (size_t column = 0; column < 4; ++column) {
      for (size_t k = 0; k < 4; ++k) product[row * 4 + column] += a[row * 4 + k] * b[k * 4 + column];
    }
  }
  return product;
}

// Of a rigid transform.
inline Matrix4 inverse(const Matrix4& m) {
  Matrix4 inverted{};
  for (size_t row = 0; row < 3; ++row) {
    for (size_t column = 0; column < 3; ++column) {
      inverted[row * 4 + column] = m[column * 4 + row];
      inverted[row * 4 + 3] -= m[column * 4 + row] * m[column * 4 + 3];
    }
  }
  inverted[15] = 1;
  return inverted;
}
