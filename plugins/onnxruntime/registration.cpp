#include "registration.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <forward_list>
#include <mutex>
#include <optional>

#include "bev_pool_op.hpp"
#include "cpus.h"
#include "frustum_index_op.hpp"
#include "pillar_max_op.hpp"
#include "prepare_images_op.hpp"
#include "voxelize_op.hpp"

namespace vexkd::ort {
namespace {

constexpr char kDomain[] = "vexkd";
constexpr int32_t kMostThreads = 64;  // what kernels use at most

// All operators of one provider.
struct Operators {
  Operators(const Api& api, Device device, int32_t threads)
      : voxelize(api, device, threads),
        pillar_max(api, device, threads),
        pillar_max_half(api, device, threads, ElementType::kFloat16),
        bev_pool(api, device, threads),
        bev_pool_half(api, device, threads, ElementType::kFloat16),
        frustum_index(api, device, threads),
        prepare_images(api, device, threads),
        prepare_images_half(api, device, threads, ElementType::kFloat16) {}

  void add_to(const Api& api, CustomOpDomain* domain) const {
    for (const CustomOp* op :
         std::initializer_list<const CustomOp*>{&voxelize, &pillar_max, &pillar_max_half, &bev_pool, &bev_pool_half,
                                                &frustum_index, &prepare_images, &prepare_images_half}) {
      check(api, api.call(slot::CustomOpDomain_Add, domain, op));
    }
  }

  Operator<VoxelizeKernel> voxelize;
  Operator<PillarMaxKernel> pillar_max, pillar_max_half;
  Operator<BevPoolKernel> bev_pool, bev_pool_half;
  Operator<FrustumIndexKernel> frustum_index;
  Operator<PrepareImagesKernel> prepare_images, prepare_images_half;
};

// Our domain as one ONNX Runtime knows it, for one number of threads.
struct Domain {
  Domain(const Api& api, int32_t threads) : api(api), threads(threads), cpu(api, Device::kCpu, threads) {
    if (vexkd_has_cuda() != 0) cuda.emplace(api, Device::kCuda, threads);
    CustomOpDomain* made = nullptr;
    check(api, api.call(slot::CreateCustomOpDomain, kDomain, &made));
    domain = made;
    cpu.add_to(api, domain);
    if (cuda) cuda->add_to(api, domain);
  }

  const Api& api;
  const int32_t threads;
  const Operators cpu;
  std::optional<Operators> cuda;
  CustomOpDomain* domain = nullptr;
};

// Sessions use it as long as they live, which may be past the end of main: never destroyed. One for each ONNX Runtime
// in the process and number of threads, however many sessions there are.
CustomOpDomain* domain_for(const Api& api, int32_t threads) {
  static std::mutex& mutex = *new std::mutex;
  static std::forward_list<Domain>& domains = *new std::forward_list<Domain>;
  const std::lock_guard<std::mutex> lock(mutex);
  for (const Domain& known : domains) {
    if (&known.api == &api && known.threads == threads) return known.domain;
  }
  return domains.emplace_front(api, threads).domain;
}

int32_t threads_of(const Api& api, const SessionOptions* options) {
  int has = 0;
  check(api, api.call(slot::HasSessionConfigEntry, options, VEXKD_THREADS_ENTRY, &has));
  int32_t threads = 0;
  if (has != 0) {
    char text[64] = "";
    size_t size = sizeof(text);
    check(api, api.call(slot::GetSessionConfigEntry, options, VEXKD_THREADS_ENTRY, text, &size));
    const char* const end = text + std::char_traits<char>::length(text);
    const auto [last, error] = std::from_chars(text, end, threads);
    if (error != std::errc() || last != end || threads < 0) {
      throw Failure(std::string("the session's entry " VEXKD_THREADS_ENTRY " must be a number of threads, got ") +
                    text);
    }
  }
  return std::min(threads > 0 ? threads : available_threads(), kMostThreads);
}

// An ONNX Runtime that has not our version of the table: tell it in the oldest one, which every version has.
Status* too_old(const ApiBase& base) {
  const std::string message = std::string("vexkd: the operators need ONNX Runtime ") + kOldestVersion +
                              " or newer, this one is " + base.version();
  const Api* const oldest = base.get_api(1);
  if (oldest != nullptr) return oldest->call(slot::CreateStatus, ErrorCode::kNotImplemented, message.c_str());
  std::fprintf(stderr, "%s\n", message.c_str());
  return nullptr;
}

}  // namespace
}  // namespace vexkd::ort

vexkd::ort::Status* RegisterCustomOps(vexkd::ort::SessionOptions* options, const vexkd::ort::ApiBase* base) {
  using namespace vexkd::ort;
  if (base == nullptr) return nullptr;
  const Api* const api = base->get_api(kApiVersion);
  if (api == nullptr) return too_old(*base);
  return guarded(*api, "operators", [&] {
    if (options == nullptr) throw Failure("RegisterCustomOps was called without session options");
    check(*api, api->call(slot::AddCustomOpDomain, options, domain_for(*api, threads_of(*api, options))));
  });
}
