#include "attributes.hpp"

#include "failure.hpp"

namespace vexkd::ort {

int32_t Attributes::size(const char* name) const {
  int64_t value = 0;
  Status* const status = api_.call(slot::KernelInfoGetAttribute_int64, info_, name, &value);
  api_.call(slot::ReleaseStatus, status);
  const char* const expected = " must be an integer from 1 to 2147483647, ";
  if (status != nullptr) throw Failure(std::string("attribute ") + name + expected + "it is missing or no integer");
  if (value < 1 || value > INT32_MAX) {
    throw Failure(std::string("attribute ") + name + expected + "got " + std::to_string(value));
  }
  return static_cast<int32_t>(value);
}

void Attributes::floats(const char* name, float* values, size_t count) const {
  size_t given = 0;
  Status* status = api_.call(slot::KernelInfoGetAttributeArray_float, info_, name, nullptr, &given);
  if (status == nullptr && given == count) {
    status = api_.call(slot::KernelInfoGetAttributeArray_float, info_, name, values, &given);
  }
  api_.call(slot::ReleaseStatus, status);
  if (status == nullptr && given == count) return;
  throw Failure(std::string("attribute ") + name + " must be " + std::to_string(count) + " floats, " +
                (status != nullptr ? "it is missing or no floats" : "got " + std::to_string(given)));
}

std::vector<float> Attributes::floats(const char* name) const {
  size_t given = 0;
  Status* const status = api_.call(slot::KernelInfoGetAttributeArray_float, info_, name, nullptr, &given);
  api_.call(slot::ReleaseStatus, status);
  if (status != nullptr || given == 0) {
    throw Failure(std::string("attribute ") + name + " must be one float or more, it is missing or no floats");
  }
  std::vector<float> values(given);
  floats(name, values.data(), given);
  return values;
}

vexkd_grid Attributes::grid() const {
  float range[6], cell[2];
  floats("range", range, 6);
  floats("cell", cell, 2);
  vexkd_grid grid{};
  const vexkd_status status = vexkd_make_grid(range, cell, &grid);
  if (status != VEXKD_OK) throw Failure(std::string("range and cell are no grid: ") + vexkd_status_string(status));
  return grid;
}

MapSize::MapSize(const Attributes& attributes) : height(attributes.size("height")), width(attributes.size("width")) {
  if (int64_t{height} * width > INT32_MAX) {
    throw Failure("a map must have fewer than 2^31 cells, got height " + std::to_string(height) + " and width " +
                  std::to_string(width));
  }
}

}  // namespace vexkd::ort
