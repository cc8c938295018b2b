// What a bundle is, as C++ values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vexkd/perception.h"

namespace vexkd {

enum class Task : vexkd_task { detection = VEXKD_DETECTION, segmentation = VEXKD_SEGMENTATION };

enum class Backend : vexkd_backend {
  automatic = VEXKD_BACKEND_AUTO,
  onnxruntime_cpu = VEXKD_BACKEND_ONNXRUNTIME_CPU,
  onnxruntime_cuda = VEXKD_BACKEND_ONNXRUNTIME_CUDA,
  tensorrt = VEXKD_BACKEND_TENSORRT,
};

/** vexkd_perception_info, copied: outlives the model it describes. */
struct Info {
  Task task;
  std::vector<std::string> cameras;  ///< the order of image blocks; empty for a model without cameras
  int32_t image_height, image_width;
  int32_t point_capacity;  ///< 0 for a model without LiDAR
  int32_t sweeps;          ///< sweeps before the keyframe that the model was trained to see
  float own_vehicle;       ///< half side in metres of the square of points that training removed
  std::vector<std::string> class_names;
  int32_t max_boxes;
  int32_t map_height, map_width;
  float score_threshold;
  vexkd_grid grid;
  std::string name, precision, backend;
  Backend backend_kind;

  explicit Info(const vexkd_perception_info& from)
      : task(static_cast<Task>(from.task)),
        cameras(from.cameras, from.cameras + from.views),
        image_height(from.image_height),
        image_width(from.image_width),
        point_capacity(from.point_capacity),
        sweeps(from.sweeps),
        own_vehicle(from.own_vehicle),
        class_names(from.class_names, from.class_names + from.classes),
        max_boxes(from.max_boxes),
        map_height(from.map_height),
        map_width(from.map_width),
        score_threshold(from.score_threshold),
        grid(from.grid),
        name(from.name),
        precision(from.precision),
        backend(from.backend),
        backend_kind(static_cast<Backend>(from.backend_kind)) {}

  /** Bytes of one camera's image, rows dense. */
  size_t image_bytes() const { return static_cast<size_t>(image_height) * static_cast<size_t>(image_width) * 3; }
  /** Floats of a map. */
  size_t map_size() const {
    return class_names.size() * static_cast<size_t>(map_height) * static_cast<size_t>(map_width);
  }
};

}  // namespace vexkd
