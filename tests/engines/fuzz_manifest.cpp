// Feeds parse_manifest manifests that were sound before this program got at them; built with sanitizers only.
//
//   fuzz_manifest COUNT SEED MANIFEST...
//
// Each input begins as one of the files, is mutated as JSON, as text, or both, and is parsed. Prints how many were
// taken and refused and the longest time of one; fails where one took more than a second, or threw what is no Failure.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "failure.hpp"
#include "manifest.hpp"

namespace {

using json = nlohmann::json;
using vexkd::runtime::Failure;
using vexkd::runtime::Manifest;

constexpr double kMaxSeconds = 1;

const char* const kWords[] = {
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "NaN",
    "-",
    "1e999",
    "-1",
    "0",
    "1e-400",
    "0.5",
    "8.0",
    "\n",
    "\x7f",
    "\xff",
    "\xc3",
    "\xef\xbb\xbf",
    "2147483647",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "\"sha256\": \"",
    "\"schema_version\": 4",
    "\"camera\": null",
    "\"points\": null",
    "\"selection\": null",
    "\"detection\"",
    "\"segmentation\"",
    "\"shape\": [",
    "\"model.onnx\"",
    "\"../model.onnx\"",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "{\"a\":{\"a\":{\"a\":{\"a\":",
};

class Mutator {
 public:
  Mutator(std::vector<json> seeds, uint64_t seed) : seeds_(std::move(seeds)), random_(seed) {}

  std::string next() {
    json content = pick(seeds_);
    if (below(3) != 0) {
      for (size_t i = below(4); i > 0; --i) change(content);
    }
    std::string text = content.dump(below(2) == 0 ? -1 : 2, ' ', false, json::error_handler_t::replace);
    if (below(3) == 0) {
      for (size_t i = 1 + below(4); i > 0; --i) change(text);
    }
    return text;
  }

 private:
  size_t below(size_t limit) { return std::uniform_int_distribution<size_t>(0, limit - 1)(random_); }

  template <typename T>
  const T& pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }

  // A value somewhere within, each level as likely as the next.
  json& anywhere(json& content) {
    json* place = &content;
    while (place->is_structured() && !place->empty() && below(4) != 0) {
      place = &*std::next(place->begin(), static_cast<std::ptrdiff_t>(below(place->size())));
    }
    return *place;
  }

  json value() {
    switch (below(8)) {
      case 0:
        return nullptr;
      case 1:
        return below(2) == 0;
      case 2:
        return static_cast<int64_t>(below(3)) - 1;
      case 3:
        return int64_t{1} << below(64);
      case 4:
        return std::ldexp(1.0, static_cast<int>(below(2000)) - 1000);
      case 5:
        return std::string(below(300), static_cast<char>('a' + below(26)));
      case 6:
        return json(std::vector<int>(below(40), 1 << below(31)));
      default: {
        json other = pick(seeds_);
        return anywhere(other);
      }
    }
  }

  void change(json& content) {
    json& place = anywhere(content);
    switch (below(5)) {
      case 0:
        place = value();
        break;
      case 1:
        if (place.is_structured() && !place.empty()) {
          place.erase(std::next(place.begin(), static_cast<std::ptrdiff_t>(below(place.size()))));
        }
        break;
      case 2:
        if (place.is_object()) place[kWords[below(std::size(kWords))]] = value();
        if (place.is_array()) place.push_back(value());
        break;
      case 3: {  // exchange two values
        json kept = place;
        json& other = anywhere(content);
        json swapped = other;
        other = std::move(kept);
        anywhere(content) = std::move(swapped);
        break;
      }
      default:
        if (place.is_number()) place = place.get<double>() * (static_cast<double>(below(5)) - 1);
        if (place.is_array() && !place.empty()) place.insert(place.begin(), place.front());
    }
  }

  void change(std::string& text) {
    const size_t at = below(text.size() + 1), length = std::min(below(20), text.size() - at);
    switch (below(5)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ 1 << below(8));
        break;
      case 1:
        text.insert(at, kWords[below(std::size(kWords))]);
        break;
      case 2:
        text.replace(at, length, kWords[below(std::size(kWords))]);
        break;
      case 3:
        text.erase(at, length);
        break;
      default: {
        const std::string other = pick(seeds_).dump();
        const size_t from = below(other.size());
        text.insert(at, other, from, below(200));
      }
    }
  }

  std::vector<json> seeds_;
  std::mt19937_64 random_;
};

// Uses what a runtime would use, so that nothing in an accepted manifest is out of bounds.
size_t use(const Manifest& manifest) {
  size_t bytes = vexkd::runtime::remake(manifest).size();
  for (const auto* tensors : {&manifest.inputs, &manifest.outputs}) {
    for (const auto& tensor : *tensors) bytes += tensor.bytes();
  }
  return bytes;
}

json read_json(const char* path) {
  std::ifstream file(path);
  return json::parse(std::string(std::istreambuf_iterator<char>(file), {}));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::printf("usage: %s COUNT SEED MANIFEST...\n", argv[0]);
    return 2;
  }
  std::vector<json> seeds;
  for (int i = 3; i < argc; ++i) {
    seeds.push_back(read_json(argv[i]));
    use(vexkd::runtime::parse_manifest(seeds.back().dump(), argv[i]));
  }
  const long count = std::atol(argv[1]);
  Mutator mutator(seeds, std::strtoull(argv[2], nullptr, 10));
  std::map<int, long> outcomes;
  double longest = 0;
  for (long i = 0; i < count; ++i) {
    const std::string text = mutator.next();
    const auto begin = std::chrono::steady_clock::now();
    int status = 0;
    try {
      use(vexkd::runtime::parse_manifest(text, "student.vexkd"));
    } catch (const Failure& failure) {
      status = failure.status;
    }
    ++outcomes[status];
    longest = std::max(longest, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  std::printf("%ld inputs:", count);
  for (const auto& [status, times] : outcomes) std::printf(" status %d: %ld,", status, times);
  std::printf(" longest %.4f s\n", longest);
  return longest > kMaxSeconds ? 1 : 0;
}
