// The two functions by which TensorRT finds the plugins in this library; nothing else of the plugins is exported.
#include <iterator>

#include "bev_pool_plugin.hpp"
#include "frustum_index_plugin.hpp"
#include "pillar_max_plugin.hpp"
#include "prepare_images_plugin.hpp"
#include "voxelize_plugin.hpp"

extern "C" VEXKD_API vexkd::trt::IPluginCreatorInterface* const* getCreators(int32_t& count) {
  static vexkd::VoxelizeCreator voxelize;
  static vexkd::PillarMaxCreator pillar_max;
  static vexkd::BevPoolCreator bev_pool;
  static vexkd::FrustumIndexCreator frustum_index;
  static vexkd::PrepareImagesCreator prepare_images;
  static vexkd::trt::IPluginCreatorInterface* const creators[] = {&voxelize, &pillar_max, &bev_pool, &frustum_index,
                                                                  &prepare_images};
  count = static_cast<int32_t>(std::size(creators));
  return creators;
}

extern "C" VEXKD_API void setLoggerFinder(void* finder) { vexkd::set_logger_finder(finder); }
