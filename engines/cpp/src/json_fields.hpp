// Typed reading of a JSON object's fields: what is missing, unknown or of another type is refused with its place.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace vexkd::runtime {

using json = nlohmann::json;

// Why a manifest is refused; parse_manifest adds the file and the command.
struct Refusal {
  std::string reason;
};

struct BadJson {
  std::string reason;
};

[[noreturn]] void refuse(const std::string& place, const std::string& reason);

// A value and where it stands in the manifest, as "inputs.0.shape". The words of refusals are pydantic's.
struct Value {
  const json& content;
  std::string place;

  Value item(size_t index) const { return {content[index], place + "." + std::to_string(index)}; }
};

class Object {
 public:
  Object(const Value& value, const char* type) : content_(value.content), place_(value.place) {
    if (!content_.is_object()) refuse(place_, std::string("Input should be a valid dictionary or instance of ") + type);
  }

  std::optional<Value> find(const char* key) {
    known_.insert(key);
    const auto found = content_.find(key);
    if (found == content_.end()) return std::nullopt;
    return Value{*found, inside(key)};
  }

  Value at(const char* key) {
    std::optional<Value> value = find(key);
    if (!value) refuse(inside(key), "Field required");
    return *value;
  }

  // To be called when all fields were asked for: others are refused.
  void finish() const {
    for (const auto& [key, value] : content_.items()) {
      if (known_.count(key) == 0) refuse(inside(key), "Extra inputs are not permitted");
    }
  }

  const std::string& place() const { return place_; }

 private:
  std::string inside(const std::string& key) const { return place_.empty() ? key : place_ + "." + key; }

  const json& content_;
  std::string place_;
  std::set<std::string> known_;
};

std::string text(const Value& value);
bool is_digest(const std::string& digits);
std::string digest(const Value& value);
/// Index of the word among `words`.
size_t choice(const Value& value, std::initializer_list<const char*> words);
bool truth(const Value& value);
int64_t whole(const Value& value, int64_t low, int64_t high);
int32_t count(const Value& value);
int32_t size(const Value& value);
/// Finite, for JSON has no other number.
double number(const Value& value);
double number(const Value& value, double low, double high);
/// At least one, none of them twice.
std::vector<std::string> names(const Value& value);

template <typename Read>
auto list(const Value& value, size_t least, Read read) {
  if (!value.content.is_array()) refuse(value.place, "Input should be a valid tuple");
  std::vector<decltype(read(value))> items;
  for (size_t i = 0; i < value.content.size(); ++i) items.push_back(read(value.item(i)));
  if (items.size() < least) {
    refuse(value.place, "Tuple should have at least " + std::to_string(least) + " item after validation, not " +
                            std::to_string(items.size()));
  }
  return items;
}

template <typename T, typename Read>
void pair(const Value& value, Read read, T (&items)[2]) {
  if (!value.content.is_array()) refuse(value.place, "Input should be a valid tuple");
  const size_t found = value.content.size();
  for (size_t i = 0; i < 2; ++i) {
    if (i >= found) refuse(value.place + "." + std::to_string(i), "Field required");
    items[i] = read(value.item(i));
  }
  if (found > 2)
    refuse(value.place, "Tuple should have at most 2 items after validation, not " + std::to_string(found));
}

template <typename Read>
void each_entry(const Value& value, Read read) {
  if (!value.content.is_object()) refuse(value.place, "Input should be a valid dictionary");
  for (const auto& [key, entry] : value.content.items()) read(key, Value{entry, value.place + "." + key});
}

/// What JSON itself allows and no more; throws BadJson.
json parse_json(std::string_view text);

}  // namespace vexkd::runtime
