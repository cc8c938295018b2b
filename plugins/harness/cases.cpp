#include "cases.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "vexkd/bev_pool.h"
#include "vexkd/frustum_index.h"
#include "vexkd/pillar_max.h"
#include "vexkd/prepare_images.h"
#include "vexkd/voxelize.h"

namespace harness {
namespace {

constexpr int32_t kHeight = 24, kWidth = 32, kCells = kHeight * kWidth;  // as default_fields()

template <class Function>
Function* kernel(Libraries const& libraries, char const* name) {
  void* const address = dlsym(libraries.kernels, name);
  require(address != nullptr, std::string("the kernels' library has no ") + name);
  return reinterpret_cast<Function*>(address);
}

size_t size_of(DataType type) {
  if (type == DataType::kINT8) return 1;
  return type == DataType::kHALF ? 2 : 4;
}

vexkd_dtype dtype_of(DataType type) { return type == DataType::kHALF ? VEXKD_F16 : VEXKD_F32; }

Tensor empty(std::vector<int64_t> dims, DataType type) {
  int64_t const count = std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<>());
  return {std::move(dims), type, std::vector<uint8_t>(static_cast<size_t>(count) * size_of(type)),
          TensorFormat::kLINEAR};
}

template <typename T>
T* data(Tensor& tensor) {
  return reinterpret_cast<T*>(tensor.bytes.data());
}

// Multiples of 1/256 below 4 in magnitude are exact in binary16: 11 significant bits are enough.
uint16_t to_half(int32_t multiple) {
  if (multiple == 0) return 0;
  int exponent = 0;
  float const fraction = std::frexp(std::fabs(static_cast<float>(multiple) / 256.0F), &exponent);
  auto const mantissa = static_cast<uint16_t>((fraction * 2 - 1) * 1024);
  return static_cast<uint16_t>((multiple < 0 ? 0x8000 : 0) | (exponent + 14) << 10 | mantissa);
}

float from_half(uint16_t half) {
  int const exponent = half >> 10 & 31;
  auto const mantissa = static_cast<float>(half & 1023);
  float const magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1 + mantissa / 1024, exponent - 15);
  return half & 0x8000 ? -magnitude : magnitude;
}

void fill(Tensor& tensor, std::mt19937& random) {
  std::uniform_int_distribution<int32_t> multiples(-1000, 1000);
  size_t const count = tensor.bytes.size() / size_of(tensor.type);
  for (size_t i = 0; i < count; ++i) {
    int32_t const multiple = multiples(random);
    if (tensor.type == DataType::kHALF) {
      data<uint16_t>(tensor)[i] = to_half(multiple);
    } else {
      data<float>(tensor)[i] = static_cast<float>(multiple) / 256.0F;
    }
  }
}

// A third of all points crowd into one pillar, some lie outside, some are no numbers.
Case voxelize_case(Libraries const& libraries, int32_t capacity, int32_t count) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> wide(-9, 9), narrow(0.01F, 0.2F);
  Tensor points = empty({capacity, VEXKD_POINT_SIZE}, DataType::kFLOAT), counts = empty({1}, DataType::kINT32);
  for (int32_t i = 0; i < capacity; ++i) {
    float* const point = data<float>(points) + int64_t{i} * VEXKD_POINT_SIZE;
    for (int axis = 0; axis < 3; ++axis) point[axis] = i % 3 == 0 ? narrow(random) : wide(random);
    point[3] = 0.5F;
    point[4] = i % 97 == 0 ? NAN : 0.05F;
    if (i % 89 == 0) point[0] = INFINITY;
  }
  data<int32_t>(counts)[0] = count;
  Tensor features = empty({capacity, VEXKD_POINT_FEATURES}, DataType::kFLOAT);
  Tensor cells = empty({capacity}, DataType::kINT32);
  std::vector<PluginField> const fields = default_fields("Voxelize");
  vexkd_grid grid{};
  kernel<decltype(vexkd_make_grid)>(libraries, "vexkd_make_grid")(static_cast<float const*>(fields[0].data),
                                                                  static_cast<float const*>(fields[1].data), &grid);
  require(grid.height == kHeight && grid.width == kWidth, "the cases' grid is not that of the fields");
  vexkd_status const status = kernel<decltype(vexkd_voxelize_cpu)>(libraries, "vexkd_voxelize_cpu")(
      data<float>(points), data<int32_t>(counts), 1, capacity, &grid, VEXKD_F32, data<float>(features),
      data<int32_t>(cells), 1, nullptr, 0);
  require(status == VEXKD_OK, "voxelize on the CPU failed");
  std::string const name = "Voxelize " + std::to_string(count) + " of " + std::to_string(capacity);
  return {name, "Voxelize", {points, counts}, {features, cells}, 0};
}

Case pillar_max_case(Libraries const& libraries, int32_t rows, int32_t channels, DataType type) {
  std::mt19937 random(8);
  std::uniform_int_distribution<int32_t> any_cell(-2, kCells + 2);
  Tensor features = empty({rows, channels}, type), cells = empty({rows}, DataType::kINT32);
  fill(features, random);
  for (int32_t i = 0; i < rows; ++i) data<int32_t>(cells)[i] = i % 3 == 0 ? 100 : any_cell(random);
  Tensor bev = empty({1, channels, kHeight, kWidth}, type);
  vexkd_status const status = kernel<decltype(vexkd_pillar_max_cpu)>(libraries, "vexkd_pillar_max_cpu")(
      features.bytes.data(), dtype_of(type), data<int32_t>(cells), rows, channels, 1, kHeight, kWidth, bev.bytes.data(),
      nullptr, 1, nullptr, 0);
  require(status == VEXKD_OK, "pillar_max on the CPU failed");
  std::string const name = "PillarMax " + std::to_string(rows) + "x" + std::to_string(channels) +
                           (type == DataType::kHALF ? " f16" : " f32");
  return {name, "PillarMax", {features, cells}, {bev}, 0};
}

// Every other frustum point is in the grid; a fifth of those crowd into one cell, others leave most cells empty.
Case bev_pool_case(Libraries const& libraries, int32_t channels, DataType type) {
  constexpr int32_t kViews = 2, kDepths = 20, kRows = 5, kColumns = 7, kFrustum = kViews * kDepths * kRows * kColumns;
  std::mt19937 random(9);
  std::uniform_int_distribution<int32_t> any_cell(0, kCells - 1);
  Tensor depth = empty({kViews, kDepths, kRows, kColumns}, type);
  Tensor context = empty({kViews, channels, kRows, kColumns}, type);
  fill(depth, random);
  fill(context, random);
  std::vector<std::pair<int32_t, int32_t>> entries;
  for (int32_t point = 0; point < kFrustum; point += 2) {
    entries.emplace_back(point % 10 == 0 ? 333 : any_cell(random), point);
  }
  std::sort(entries.begin(), entries.end());
  Tensor points = empty({kFrustum}, DataType::kINT32), starts = empty({kCells + 1}, DataType::kINT32);
  std::fill_n(data<int32_t>(points), kFrustum, -1);
  for (size_t i = 0; i < entries.size(); ++i) {
    data<int32_t>(points)[i] = entries[i].second;
    ++data<int32_t>(starts)[entries[i].first + 1];
  }
  std::partial_sum(data<int32_t>(starts), data<int32_t>(starts) + kCells + 1, data<int32_t>(starts));
  Tensor bev = empty({1, channels, kHeight, kWidth}, type);
  vexkd_bev_pool_shape const shape{kViews, kDepths, kRows, kColumns, channels, kFrustum, 1, kHeight, kWidth};
  vexkd_status const status = kernel<decltype(vexkd_bev_pool_cpu)>(libraries, "vexkd_bev_pool_cpu")(
      depth.bytes.data(), context.bytes.data(), dtype_of(type), data<int32_t>(points), data<int32_t>(starts), &shape,
      bev.bytes.data(), 1, nullptr, 0);
  require(status == VEXKD_OK, "bev_pool on the CPU failed");
  bool const half = type == DataType::kHALF;
  std::string const name = "BevPool C " + std::to_string(channels) + (half ? " f16" : " f32");
  return {name, "BevPool", {depth, context, points, starts}, {bev}, half ? 2e-3F : 2e-5F};
}

// Prepared images are larger than the raw ones along one axis and cropped along the other.
Case images_case(Libraries const& libraries, DataType type, TensorFormat format) {
  constexpr int32_t kViews = 3, kRawHeight = 45, kRawWidth = 29;
  std::mt19937 random(10);
  Tensor images = empty({kViews, kRawHeight, kRawWidth, 3}, DataType::kINT8);
  for (uint8_t& byte : images.bytes) byte = static_cast<uint8_t>(random());
  Tensor prepared = empty({kViews, 3, kHeight, kWidth}, type);
  bool const packed = format == TensorFormat::kHWC8;
  prepared.format = format;
  if (packed) prepared.bytes.resize(size_t{kViews} * kCells * 8 * size_of(type));
  vexkd_image_shape const shape{kViews, kRawHeight, kRawWidth, kHeight, kWidth};
  std::vector<PluginField> const fields = default_fields("PrepareImages", type);
  vexkd_status const status = kernel<decltype(vexkd_prepare_images_cpu)>(libraries, "vexkd_prepare_images_cpu")(
      images.bytes.data(), &shape, static_cast<float const*>(fields[2].data), static_cast<float const*>(fields[3].data),
      dtype_of(type), packed ? VEXKD_PACKED8 : VEXKD_PLANAR, prepared.bytes.data(), 1);
  require(status == VEXKD_OK, "prepare_images on the CPU failed");
  std::string const name = std::string("PrepareImages") + (type == DataType::kHALF ? " f16" : " f32");
  return {name + (packed ? " packed" : ""), "PrepareImages", {images}, {prepared}, 0};
}

// Two cameras whose points are spread over the grid and beyond, and one whose rays meet in a point.
Case frustum_index_case(Libraries const& libraries) {
  std::vector<PluginField> const fields = default_fields("FrustumIndex");
  auto const* const depths = static_cast<float const*>(fields[0].data);
  auto const size = [&](size_t field) { return *static_cast<int32_t const*>(fields[field].data); };
  vexkd_frustum_shape const shape{1, 3, fields[0].length, size(1), size(2), size(3)};
  std::mt19937 random(10);
  std::uniform_real_distribution<float> slope(-0.3F, 0.3F), near(-1, 1);
  Tensor rays = empty({shape.views, 3, 3}, DataType::kFLOAT), origins = empty({shape.views, 3}, DataType::kFLOAT);
  for (int i = 0; i < 18; ++i) data<float>(rays)[i] = slope(random);
  for (int i = 0; i < 9; ++i) data<float>(origins)[i] = near(random);
  Tensor points = empty({int64_t{shape.views} * shape.depths * shape.height * shape.width}, DataType::kINT32);
  Tensor starts = empty({kCells + 1}, DataType::kINT32);
  vexkd_grid grid{};
  kernel<decltype(vexkd_make_grid)>(libraries, "vexkd_make_grid")(static_cast<float const*>(fields[4].data),
                                                                  static_cast<float const*>(fields[5].data), &grid);
  vexkd_status const status = kernel<decltype(vexkd_frustum_index_cpu)>(libraries, "vexkd_frustum_index_cpu")(
      data<float>(rays), data<float>(origins), depths, &shape, &grid, data<int32_t>(points), data<int32_t>(starts), 1,
      nullptr, 0);
  require(status == VEXKD_OK, "frustum_index on the CPU failed");
  return {"FrustumIndex", "FrustumIndex", {rays, origins}, {points, starts}, 0};
}

}  // namespace

std::vector<Case> make_cases(Libraries const& libraries) {
  std::vector<Case> cases;
  cases.push_back(voxelize_case(libraries, 5000, 4321));
  cases.push_back(voxelize_case(libraries, 300, 100000));  // a count above the capacity
  cases.push_back(voxelize_case(libraries, 300, 0));
  cases.push_back(frustum_index_case(libraries));
  for (DataType type : {DataType::kFLOAT, DataType::kHALF}) {
    for (int32_t channels : {64, 7, 72}) cases.push_back(pillar_max_case(libraries, 5000, channels, type));
    cases.push_back(pillar_max_case(libraries, 0, 8, type));
    for (int32_t channels : {80, 7, 136}) cases.push_back(bev_pool_case(libraries, channels, type));
    cases.push_back(images_case(libraries, type, TensorFormat::kLINEAR));
  }
  cases.push_back(images_case(libraries, DataType::kHALF, TensorFormat::kHWC8));
  return cases;
}

void compare(Case const& expected, std::vector<std::vector<uint8_t>> const& outputs) {
  require(outputs.size() == expected.expected.size(), expected.name + ": wrong number of outputs");
  for (size_t i = 0; i < outputs.size(); ++i) {
    Tensor const& tensor = expected.expected[i];
    require(outputs[i].size() == tensor.bytes.size(), expected.name + ": wrong size of an output");
    if (expected.tolerance == 0) {
      require(outputs[i] == tensor.bytes, expected.name + ": other bits than the CPU's");
      continue;
    }
    size_t const size = size_of(tensor.type);
    for (size_t at = 0; at < tensor.bytes.size(); at += size) {
      float got = 0, wanted = 0;
      if (size == 2) {
        uint16_t halves[2];
        std::memcpy(&halves[0], outputs[i].data() + at, 2);
        std::memcpy(&halves[1], tensor.bytes.data() + at, 2);
        got = from_half(halves[0]);
        wanted = from_half(halves[1]);
      } else {
        std::memcpy(&got, outputs[i].data() + at, 4);
        std::memcpy(&wanted, tensor.bytes.data() + at, 4);
      }
      float const error = std::fabs(got - wanted);
      require(error <= expected.tolerance * std::max(1.0F, std::fabs(wanted)),
              expected.name + ": element " + std::to_string(at / size) + " is " + std::to_string(got) + ", expected " +
                  std::to_string(wanted));
    }
  }
}

}  // namespace harness
