#include "footprint.h"

namespace vexkd {
namespace {

// Twice the signed area of the triangle (a, b, p): positive left of the line from a to b.
double side(Point a, Point b, Point p) { return (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x); }

// The part of `polygon` left of the line from a to b (Sutherland and Hodgman).
Polygon clip(const Polygon& polygon, Point a, Point b) {
  Polygon result;
  for (int i = 0; i < polygon.size; ++i) {
    const Point from = polygon.corners[i], to = polygon.corners[(i + 1) % polygon.size];
    const double start = side(a, b, from), end = side(a, b, to);
    if (start >= 0 && result.size < 8) result.add(from);
    if ((start >= 0) != (end >= 0) && result.size < 8) {
      const double share = start / (start - end);
      result.add({from.x + share * (to.x - from.x), from.y + share * (to.y - from.y)});
    }
  }
  return result;
}

double area_of(const Polygon& polygon) {
  double twice = 0;
  for (int i = 1; i + 1 < polygon.size; ++i) {
    twice += side(polygon.corners[0], polygon.corners[i], polygon.corners[i + 1]);
  }
  return std::max(0.0, twice * 0.5);
}

}  // namespace

Footprint footprint(const float* box, double scale) {
  Footprint result = {};
  const double length = box[3] * scale, width = box[4] * scale;
  if (!all_finite(box, {0, 1, 6}) || !(length > 0) || !(width > 0)) return result;
  if (!std::isfinite(length) || !std::isfinite(width)) return result;
  const double half_length = length * 0.5, half_width = width * 0.5;
  const double cosine = std::cos(static_cast<double>(box[6])), sine = std::sin(static_cast<double>(box[6]));
  result.centre = {box[0], box[1]};
  for (const auto& [along, across] : {Point{1, 1}, Point{-1, 1}, Point{-1, -1}, Point{1, -1}}) {
    const double x = along * half_length, y = across * half_width;
    result.polygon.add({result.centre.x + (cosine * x - sine * y), result.centre.y + (sine * x + cosine * y)});
  }
  result.area = 4 * half_length * half_width;
  result.radius = std::sqrt(half_length * half_length + half_width * half_width);
  return result;
}

double squared_distance(Point a, Point b) {
  const double x = a.x - b.x, y = a.y - b.y;
  return x * x + y * y;
}

double iou(const Footprint& one, const Footprint& other) {
  const double reach = one.radius + other.radius;
  if (one.area == 0 || other.area == 0 || squared_distance(one.centre, other.centre) > reach * reach) return 0;
  Polygon common = one.polygon;
  for (int i = 0; i < 4 && common.size > 0; ++i) {
    common = clip(common, other.polygon.corners[i], other.polygon.corners[(i + 1) % 4]);
  }
  // Boxes of astronomic size lose all digits to cancellation: at least the result stays in 0 .. 1.
  const double shared = std::min({area_of(common), one.area, other.area});
  return shared / (one.area + other.area - shared);
}

}  // namespace vexkd
