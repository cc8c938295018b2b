#include "bundle.hpp"
#include "failure.hpp"
#include "messages.hpp"
#include "vexkd/perception.h"

vexkd_status vexkd_verify_bundle(const char* bundle) {
  using namespace vexkd::runtime;
  return guarded([&] {
    if (bundle == nullptr) fail(VEXKD_NULL_POINTER, "the path of the bundle is null; give the folder NAME.vexkd");
    read_bundle(bundle);
  });
}
