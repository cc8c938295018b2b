// Footprints of boxes in bird's-eye view and their intersection over union, in binary64.
#ifndef VEXKD_KERNELS_FOOTPRINT_H
#define VEXKD_KERNELS_FOOTPRINT_H

#include <algorithm>
#include <cmath>
#include <initializer_list>

namespace vexkd {

struct Point {
  double x, y;
};

// Corners counter-clockwise. Clipping a quadrilateral by four half planes gives at most eight.
struct Polygon {
  Point corners[8];
  int size = 0;

  void add(Point corner) { corners[size++] = corner; }
};

struct Footprint {
  Polygon polygon;
  Point centre;
  double area;
  double radius;  // of the circle around it
};

inline bool all_finite(const float* box, std::initializer_list<int> columns) {
  return std::all_of(columns.begin(), columns.end(), [&](int column) { return std::isfinite(box[column]); });
}

// Of a box (9) as in nms.h whose length and width are multiplied by `scale`; without area where a side is not above 0,
// or where anything is not finite.
Footprint footprint(const float* box, double scale = 1);

double squared_distance(Point a, Point b);

double iou(const Footprint& one, const Footprint& other);

}  // namespace vexkd

#endif
