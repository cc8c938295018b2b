// Points and images in, detections out. A cloud starts a frame; a bundle of cameras alone starts it with its first one.
#include <tf2_ros/buffer.h>
#include <tf2_ros/transform_listener.h>

#include <cmath>
#include <exception>
#include <map>
#include <memory>
#include <rclcpp/rclcpp.hpp>
#include <sensor_msgs/msg/camera_info.hpp>
#include <sensor_msgs/msg/image.hpp>
#include <sensor_msgs/msg/point_cloud2.hpp>
#include <sensor_msgs/point_cloud2_iterator.hpp>
#include <string>
#include <vector>
#include <vexkd/perception.hpp>
#include <vision_msgs/msg/detection3_d_array.hpp>

namespace {

using sensor_msgs::msg::CameraInfo;
using sensor_msgs::msg::Image;
using sensor_msgs::msg::PointCloud2;
using vision_msgs::msg::Detection3DArray;

vexkd::Matrix4 matrix(const geometry_msgs::msg::Transform& pose) {
  const double x = pose.rotation.x, y = pose.rotation.y, z = pose.rotation.z, w = pose.rotation.w;
  return {1 - 2 * (y * y + z * z),
          2 * (x * y - w * z),
          2 * (x * z + w * y),
          pose.translation.x,
          2 * (x * y + w * z),
          1 - 2 * (x * x + z * z),
          2 * (y * z - w * x),
          pose.translation.y,
          2 * (x * z - w * y),
          2 * (y * z + w * x),
          1 - 2 * (x * x + y * y),
          pose.translation.z,
          0,
          0,
          0,
          1};
}

class PerceptionNode : public rclcpp::Node {
 public:
  PerceptionNode()
      : Node("vexkd_perception"),
        transforms_(get_clock()),
        listener_(transforms_),
        ego_(declare_parameter("ego_frame", "base_link")),
        fixed_(declare_parameter("fixed_frame", "odom")),
        intensity_scale_(static_cast<float>(declare_parameter("intensity_scale", 1.0))),
        model_(open()),
        frame_(model_.info()),
        detections_(create_publisher<Detection3DArray>("detections", 1)) {
    RCLCPP_INFO(get_logger(), "%s on %s", model_.info().name.c_str(), model_.info().backend.c_str());
    const rclcpp::SensorDataQoS newest_only(rclcpp::KeepLast(1));
    if (model_.info().point_capacity > 0) {
      points_ = create_subscription<PointCloud2>("points", newest_only, [this](PointCloud2::ConstSharedPtr cloud) {
        cloud_ = cloud;
        look(cloud->header.stamp);
      });
    }
    for (const std::string& camera : model_.info().cameras) {
      const bool starts = !points_ && camera == model_.info().cameras.front();
      images_.push_back(create_subscription<Image>(camera + "/image", newest_only,
                                                   [this, camera, starts](Image::ConstSharedPtr image) {
                                                     latest_[camera].image = image;
                                                     if (starts) look(image->header.stamp);
                                                   }));
      infos_.push_back(create_subscription<CameraInfo>(
          camera + "/camera_info", newest_only,
          [this, camera](CameraInfo::ConstSharedPtr info) { latest_[camera].info = info; }));
    }
  }

 private:
  struct Camera {
    Image::ConstSharedPtr image;
    CameraInfo::ConstSharedPtr info;
  };

  vexkd::Perception open() {
    vexkd::Options options;
    options.onnxruntime = declare_parameter("onnxruntime", "");
    return vexkd::Perception::open(declare_parameter("bundle", ""), options).value_or_throw();
  }

  // From a sensor at its own time to ego at `now`, through a frame in which the world stands still.
  vexkd::Matrix4 to_ego(const std_msgs::msg::Header& sensor, const rclcpp::Time& now) {
    return matrix(transforms_.lookupTransform(ego_, now, sensor.frame_id, sensor.stamp, fixed_).transform);
  }

  // Throws where the cloud lacks a field.
  void read_points() {
    values_.clear();
    using Field = sensor_msgs::PointCloud2ConstIterator<float>;
    Field x(*cloud_, "x"), y(*cloud_, "y"), z(*cloud_, "z"), intensity(*cloud_, "intensity");
    for (; x != x.end(); ++x, ++y, ++z, ++intensity) {
      if (std::isfinite(*x)) values_.insert(values_.end(), {*x, *y, *z, *intensity});
    }
  }

  void fill(const rclcpp::Time& now) {
    frame_.clear();
    if (points_) {
      read_points();
      vexkd::Sweep sweep;
      sweep.values = values_;
      sweep.stride = 4;
      sweep.sensor_to_ego = to_ego(cloud_->header, now);
      sweep.intensity_scale = intensity_scale_;
      sweep.own_vehicle = model_.info().own_vehicle;
      frame_.add_sweep(sweep);
    }
    for (const auto& [camera, latest] : latest_) {
      if (!latest.image || latest.image->encoding != "rgb8" || latest.image->step != latest.image->width * 3) continue;
      frame_.set_image(camera, latest.image->data);
    }
  }

  vexkd::Status calibrate(const rclcpp::Time& now) {
    if (model_.info().cameras.empty()) return {};
    vexkd::Calibration calibration(model_.info());
    for (const auto& [camera, latest] : latest_) {
      if (latest.image && latest.info) {
        calibration.set_camera(camera, latest.info->k, to_ego(latest.image->header, now));
      }
    }
    return model_.update_calibration(calibration);
  }

  void look(const rclcpp::Time& now) {
    try {
      fill(now);
      const vexkd::Status calibrated = calibrate(now);
      vexkd::Result<vexkd::Detections> found = calibrated.ok() ? model_.detect(frame_) : calibrated;
      if (found.ok()) return publish(*found, now);
      RCLCPP_WARN_THROTTLE(get_logger(), *get_clock(), 1000, "%s", found.status().message().c_str());
    } catch (const std::exception& error) {  // no transform, or a cloud without a field
      RCLCPP_WARN_THROTTLE(get_logger(), *get_clock(), 1000, "%s", error.what());
    }
  }

  void publish(const vexkd::Detections& found, const rclcpp::Time& now) {
    Detection3DArray message;
    message.header.frame_id = ego_;
    message.header.stamp = now;
    for (const vexkd::Box& box : found.boxes) {
      auto& detection = message.detections.emplace_back();
      detection.header = message.header;
      auto& hypothesis = detection.results.emplace_back().hypothesis;
      hypothesis.class_id = model_.info().class_names[static_cast<size_t>(box.label)];
      hypothesis.score = box.score;
      detection.bbox.center.position.x = box.x;
      detection.bbox.center.position.y = box.y;
      detection.bbox.center.position.z = box.z;
      detection.bbox.center.orientation.z = std::sin(box.yaw / 2);
      detection.bbox.center.orientation.w = std::cos(box.yaw / 2);
      detection.bbox.size.x = box.length;
      detection.bbox.size.y = box.width;
      detection.bbox.size.z = box.height;
    }
    detections_->publish(message);
  }

  tf2_ros::Buffer transforms_;
  tf2_ros::TransformListener listener_;
  std::string ego_, fixed_;
  float intensity_scale_;
  vexkd::Perception model_;
  vexkd::Frame frame_;
  PointCloud2::ConstSharedPtr cloud_;  // the latest
  std::vector<float> values_;          // (N, 4) of it
  std::map<std::string, Camera> latest_;
  rclcpp::Publisher<Detection3DArray>::SharedPtr detections_;
  rclcpp::Subscription<PointCloud2>::SharedPtr points_;
  std::vector<rclcpp::Subscription<Image>::SharedPtr> images_;
  std::vector<rclcpp::Subscription<CameraInfo>::SharedPtr> infos_;
};

}  // namespace

int main(int count, char** arguments) {
  rclcpp::init(count, arguments);
  try {
    rclcpp::spin(std::make_shared<PerceptionNode>());
  } catch (const vexkd::Error& error) {
    RCLCPP_FATAL(rclcpp::get_logger("vexkd_perception"), "%s", error.what());
    return 1;
  }
  rclcpp::shutdown();
  return 0;
}
