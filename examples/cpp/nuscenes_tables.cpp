#include "nuscenes_tables.hpp"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

using Table = std::map<std::string, json>;  // records by token

fs::path find_tables(const fs::path& root, const std::string& version) {
  if (!version.empty()) return root / version;
  std::vector<fs::path> found;
  if (fs::is_directory(root)) {
    for (const auto& entry : fs::directory_iterator(root)) {
      if (entry.path().filename().string().rfind("v1.0-", 0) == 0) found.push_back(entry.path());
    }
  }
  if (found.size() != 1) {
    throw std::runtime_error(root.string() + " has " + std::to_string(found.size()) +
                             " folders v1.0-*; give a nuScenes-layout root, and --version where it has several");
  }
  return found.front();
}

json read_list(const fs::path& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path.string() + " cannot be read");
  json content = json::parse(file, nullptr, false);
  if (!content.is_array()) throw std::runtime_error(path.string() + " is no JSON list");
  return content;
}

Table read_table(const fs::path& path) {
  Table table;
  for (json& record : read_list(path)) table.emplace(record.at("token"), std::move(record));
  return table;
}

Matrix4 pose(const json& record) {
  const auto rotation = record.at("rotation").get<std::array<double, 4>>();
  const auto translation = record.at("translation").get<std::array<double, 3>>();
  return rigid(rotation.data(), translation.data());
}

class Tables {
 public:
  explicit Tables(const fs::path& folder)
      : root_(folder.parent_path()),
        samples_(read_table(folder / "sample.json")),
        data_(read_table(folder / "sample_data.json")),
        sensors_(read_table(folder / "sensor.json")),
        calibrations_(read_table(folder / "calibrated_sensor.json")),
        poses_(read_table(folder / "ego_pose.json")) {
    for (const auto& [token, record] : data_) {
      if (record.at("is_key_frame")) keyframes_[record.at("sample_token")][channel(record)] = token;
    }
  }

  // Tokens of a sample's own files by channel.
  const std::map<std::string, std::string>& keyframe(const std::string& sample) const { return keyframes_.at(sample); }
  std::string next_sample(const std::string& sample) const { return samples_.at(sample).at("next"); }
  std::string previous(const std::string& token) const { return data_.at(token).at("prev"); }
  std::string next(const std::string& token) const { return data_.at(token).at("next"); }
  std::string sample_of(const std::string& token) const {
    return data_.at(token).at("is_key_frame") ? data_.at(token).at("sample_token") : json("");
  }

  Record record(const std::string& token) const {
    const json& from = data_.at(token);
    const json& calibration = calibrations_.at(from.at("calibrated_sensor_token"));
    Record record{(root_ / from.at("filename")).string(),
                  from.at("timestamp"),
                  pose(calibration),
                  pose(poses_.at(from.at("ego_pose_token"))),
                  {}};
    const json& rows = calibration.at("camera_intrinsic");
    for (size_t i = 0; i < 9 && !rows.empty(); ++i) record.intrinsics[i] = rows.at(i / 3).at(i % 3);
    return record;
  }

 private:
  std::string channel(const json& record) const {
    return sensors_.at(calibrations_.at(record.at("calibrated_sensor_token")).at("sensor_token")).at("channel");
  }

  fs::path root_;
  Table samples_, data_, sensors_, calibrations_, poses_;
  std::map<std::string, std::map<std::string, std::string>> keyframes_;
};

Moment moment(const Tables& tables, const std::string& lidar, int sweeps) {
  Moment moment;
  std::string token = lidar;
  for (int i = 0; i <= sweeps && !token.empty(); ++i, token = tables.previous(token)) {
    moment.sweeps.push_back(tables.record(token));
  }
  const std::string sample = tables.sample_of(lidar);
  if (sample.empty()) return moment;
  for (const auto& [channel, camera] : tables.keyframe(sample)) {
    if (channel.rfind("CAM_", 0) == 0) moment.cameras.emplace(channel, tables.record(camera));
  }
  return moment;
}

}  // namespace

std::vector<Moment> read_scene(const std::string& root, const std::string& version, int sweeps, bool keyframes_only) {
  const fs::path folder = find_tables(root, version);
  try {
    const Tables tables(folder);
    const json scenes = read_list(folder / "scene.json");
    std::string sample = scenes.at(0).at("first_sample_token");
    std::vector<Moment> moments;
    if (keyframes_only) {
      for (; !sample.empty(); sample = tables.next_sample(sample)) {
        moments.push_back(moment(tables, tables.keyframe(sample).at("LIDAR_TOP"), sweeps));
      }
    } else {
      for (std::string token = tables.keyframe(sample).at("LIDAR_TOP"); !token.empty(); token = tables.next(token)) {
        moments.push_back(moment(tables, token, sweeps));
      }
    }
    return moments;
  } catch (const json::exception& error) {
    throw std::runtime_error("the tables of " + folder.string() + " are not nuScenes': " + error.what());
  } catch (const std::out_of_range&) {
    throw std::runtime_error("the tables of " + folder.string() + " do not fit together: a token leads nowhere");
  }
}
