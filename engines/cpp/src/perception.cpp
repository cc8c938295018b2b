// The C ABI of the runtime: arguments are checked, the handle is taken, failures become statuses.
#include "vexkd/perception.h"

#include <atomic>
#include <memory>

#include "failure.hpp"
#include "messages.hpp"
#include "model.hpp"
#include "options.hpp"
#include "text.hpp"

struct vexkd_perception {
  vexkd::runtime::Model model;
  std::atomic_flag busy = ATOMIC_FLAG_INIT;
};

namespace vexkd::runtime {
namespace {

// The handle, while no other thread has it.
class Taken {
 public:
  explicit Taken(vexkd_perception& handle) : handle_(handle) {
    if (handle_.busy.test_and_set(std::memory_order_acquire)) {
      fail(VEXKD_BUSY, "another thread is using this handle; open one handle per thread");
    }
  }
  ~Taken() { handle_.busy.clear(std::memory_order_release); }
  Taken(const Taken&) = delete;
  Taken& operator=(const Taken&) = delete;

 private:
  vexkd_perception& handle_;
};

template <typename T>
void require(const T* pointer, const char* name) {
  if (pointer == nullptr) fail(VEXKD_NULL_POINTER, text(name, " is null"));
}

template <typename T>
void require_struct(const T* value, const char* name) {
  require(value, name);
  if (value->struct_size != sizeof(T)) {
    fail(VEXKD_INVALID_ARGUMENT, text(name, " has struct_size ", value->struct_size, ", this library's is ", sizeof(T),
                                      "; set it to sizeof, and compile against the headers of this library"));
  }
}

}  // namespace
}  // namespace vexkd::runtime

using namespace vexkd::runtime;

vexkd_status vexkd_perception_default_options(vexkd_perception_options* options, size_t struct_size) {
  return guarded([&] {
    require(options, "options");
    if (struct_size != sizeof(*options)) {
      fail(VEXKD_INVALID_ARGUMENT, text("vexkd_perception_options has ", struct_size, " bytes, this library's has ",
                                        sizeof(*options), "; compile against the headers of this library"));
    }
    *options = default_options();
  });
}

vexkd_status vexkd_perception_open(const char* bundle, const vexkd_perception_options* options,
                                   vexkd_perception** opened) {
  return guarded([&] {
    require(opened, "opened");
    *opened = nullptr;
    require(bundle, "bundle");
    *opened = new vexkd_perception{Model(bundle, checked_options(options))};
  });
}

void vexkd_perception_close(vexkd_perception* model) { delete model; }

vexkd_status vexkd_perception_describe(const vexkd_perception* model, vexkd_perception_info* info) {
  return guarded([&] {
    require(model, "model");
    require_struct(info, "info");
    model->model.describe(*info);
  });
}

vexkd_status vexkd_perception_update_calibration(vexkd_perception* model, const vexkd_calibration* calibration) {
  return guarded([&] {
    require(model, "model");
    require_struct(calibration, "calibration");
    const Taken taken(*model);
    model->model.update_calibration(*calibration);
  });
}

vexkd_status vexkd_perception_detect(vexkd_perception* model, const vexkd_frame* frame, vexkd_detections* detections) {
  return guarded([&] {
    require(model, "model");
    require_struct(frame, "frame");
    require_struct(detections, "detections");
    const Taken taken(*model);
    model->model.detect(*frame, *detections);
  });
}

vexkd_status vexkd_perception_segment(vexkd_perception* model, const vexkd_frame* frame, vexkd_map* map) {
  return guarded([&] {
    require(model, "model");
    require_struct(frame, "frame");
    require_struct(map, "map");
    const Taken taken(*model);
    model->model.segment(*frame, *map);
  });
}
