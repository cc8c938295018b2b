// A bundle that looks at frames, stage by stage.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend.hpp"
#include "cameras.hpp"
#include "selection.hpp"

namespace vexkd::runtime {

class Model {
 public:
  Model(const char* path, const vexkd_perception_options& options);

  void update_calibration(const vexkd_calibration& calibration);
  void detect(const vexkd_frame& frame, vexkd_detections& detections);
  void segment(const vexkd_frame& frame, vexkd_map& map);
  void describe(vexkd_perception_info& info) const;

 private:
  // Where the manifest lists a tensor of that name.
  size_t input_index(const char* name) const;
  size_t output_index(const char* name) const;
  void require_task(Task task, const char* function) const;

  void warm_up(int32_t runs);
  // Sensors to outputs; returns the points that did not fit.
  int32_t run(const vexkd_frame& frame, vexkd_times& times);
  int32_t take_points(const vexkd_frame& frame);
  void take_images(const vexkd_frame& frame);

  Manifest manifest_;
  std::string name_;
  std::unique_ptr<Backend> backend_;
  std::optional<Cameras> cameras_;
  std::optional<BoxSelection> selection_;
  size_t images_ = 0, rays_ = 0, origins_ = 0, points_ = 0, count_ = 0;  // inputs
  size_t boxes_ = 0, scores_ = 0, labels_ = 0, logits_ = 0;              // outputs
  std::vector<const char*> camera_names_, class_names_;
  int32_t threads_;
};

}  // namespace vexkd::runtime
