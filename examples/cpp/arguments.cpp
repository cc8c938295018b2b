#include "arguments.hpp"

#include <cstdlib>
#include <map>

const char* const kUsage =
    "usage: drive_loop --data ROOT [--version v1.0-...] [--lidar BUNDLE] [--camera BUNDLE]\n"
    "                  [--rate HZ] [--seconds S] [--onnxruntime PATH]\n"
    "Plays the first scene of a nuScenes-layout root at a sensor's rate through one bundle or two, a thread each.\n"
    "--lidar takes a bundle that sees points, --camera one that sees images; --rate 10, --seconds 10.\n";

std::string parse(int count, char** words, Arguments& arguments) {
  const std::map<std::string, std::string*> texts = {{"--data", &arguments.data},
                                                     {"--version", &arguments.version},
                                                     {"--lidar", &arguments.lidar},
                                                     {"--camera", &arguments.camera},
                                                     {"--onnxruntime", &arguments.onnxruntime}};
  const std::map<std::string, double*> numbers = {{"--rate", &arguments.rate}, {"--seconds", &arguments.seconds}};
  for (int i = 1; i < count; i += 2) {
    const std::string name = words[i];
    const auto text = texts.find(name);
    const auto number = numbers.find(name);
    if (text == texts.end() && number == numbers.end()) return "there is no option " + name;
    if (i + 1 == count) return name + " needs a value";
    if (text != texts.end()) {
      *text->second = words[i + 1];
      continue;
    }
    char* end = nullptr;
    *number->second = std::strtod(words[i + 1], &end);
    if (*end != '\0' || !(*number->second > 0)) return name + " must be a number above 0, got " + words[i + 1];
  }
  if (arguments.data.empty()) return "--data is missing";
  if (arguments.lidar.empty() && arguments.camera.empty()) return "give --lidar, --camera, or both";
  return "";
}
