#include "json_fields.hpp"

#include <algorithm>

namespace vexkd::runtime {
namespace {

constexpr int kMaxDepth = 32;

}  // namespace

void refuse(const std::string& place, const std::string& reason) {
  throw Refusal{place.empty() ? reason : place + ": " + reason};
}

std::string text(const Value& value) {
  if (!value.content.is_string()) refuse(value.place, "Input should be a valid string");
  std::string content = value.content.get<std::string>();
  const auto is_control = [](unsigned char c) { return c < ' ' || c == 0x7F; };
  if (std::any_of(content.begin(), content.end(), is_control)) refuse(value.place, "holds a control character");
  return content;
}

bool is_digest(const std::string& digits) {
  return digits.size() == 64 && digits.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string digest(const Value& value) {
  if (!value.content.is_string()) refuse(value.place, "Input should be a valid string");
  std::string digits = value.content.get<std::string>();
  if (!is_digest(digits)) refuse(value.place, "String should match pattern '^[0-9a-f]{64}$'");
  return digits;
}

size_t choice(const Value& value, std::initializer_list<const char*> words) {
  const auto found = std::find(words.begin(), words.end(), value.content);
  if (found != words.end()) return static_cast<size_t>(found - words.begin());
  std::string expected;
  size_t left = words.size();
  for (const char* word : words) {
    --left;
    expected += std::string("'") + word + (left == 0 ? "'" : left == 1 ? "' or " : "', ");
  }
  refuse(value.place, "Input should be " + expected);
}

bool truth(const Value& value) {
  if (!value.content.is_boolean()) refuse(value.place, "Input should be a valid boolean");
  return value.content.get<bool>();
}

int64_t whole(const Value& value, int64_t low, int64_t high) {
  if (!value.content.is_number_integer()) refuse(value.place, "Input should be a valid integer");
  const bool beyond = value.content.is_number_unsigned() && value.content.get<uint64_t>() > uint64_t{INT64_MAX};
  const int64_t number = beyond ? INT64_MAX : value.content.get<int64_t>();
  if (number < low) refuse(value.place, "Input should be greater than or equal to " + std::to_string(low));
  if (beyond || number > high) refuse(value.place, "Input should be less than or equal to " + std::to_string(high));
  return number;
}

int32_t count(const Value& value) { return static_cast<int32_t>(whole(value, 0, INT32_MAX)); }
int32_t size(const Value& value) { return static_cast<int32_t>(whole(value, 1, INT32_MAX)); }

double number(const Value& value) {
  if (!value.content.is_number()) refuse(value.place, "Input should be a valid number");
  return value.content.get<double>();
}

double number(const Value& value, double low, double high) {
  const double found = number(value);
  const auto told = [](double limit) { return std::to_string(static_cast<int64_t>(limit)); };
  if (!(found >= low)) refuse(value.place, "Input should be greater than or equal to " + told(low));
  if (!(found <= high)) refuse(value.place, "Input should be less than or equal to " + told(high));
  return found;
}

std::vector<std::string> names(const Value& value) {
  std::vector<std::string> found = list(value, 1, text);
  std::set<std::string> seen;
  for (const std::string& name : found) {
    if (!seen.insert(name).second) refuse(value.place, name + " is listed twice");
  }
  return found;
}

// What JSON itself allows and no more: the parser would end at a zero byte, skip a byte order mark and take the last of
// equal keys.
json parse_json(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) throw BadJson{"it holds a zero byte"};
  if (text.substr(0, 3) == "\xEF\xBB\xBF") throw BadJson{"it begins with a byte order mark"};
  std::vector<std::set<std::string>> keys;
  const auto check = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth > kMaxDepth) throw BadJson{"it is nested deeper than " + std::to_string(kMaxDepth) + " levels"};
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key) {
      std::string key = parsed.get<std::string>();
      if (!keys.back().insert(key).second) throw BadJson{key + " is listed twice"};
    }
    return true;
  };
  try {
    return json::parse(text, check);
  } catch (const json::parse_error& error) {
    throw BadJson{"wrong syntax at byte " + std::to_string(error.byte)};
  } catch (const json::out_of_range&) {
    throw BadJson{"a number is out of range"};
  }
}

}  // namespace vexkd::runtime
