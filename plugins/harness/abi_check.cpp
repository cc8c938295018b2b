// Compares our declaration of TensorRT's plugin interface with the official headers: it does not compile if an
// enumerator, size or offset differs; run, it compares the vtable slots of all virtual functions and the interface
// infos.
#include <NvInferRuntime.h>

#include <cstddef>
#include <cstdio>
#include <cstring>

#include "plugin_abi.h"

namespace ours = vexkd::abi;
namespace official = nvinfer1;

#define SAME_VALUE(type, name) \
  static_assert(static_cast<int>(ours::type::name) == static_cast<int>(official::type::name), #type "::" #name)
#define SAME_SIZE(type) \
  static_assert(sizeof(ours::type) == sizeof(official::type) && alignof(ours::type) == alignof(official::type), #type)
#define SAME_OFFSET(type, member) \
  static_assert(offsetof(ours::type, member) == offsetof(official::type, member), #type "::" #member)

SAME_SIZE(DataType);
SAME_VALUE(DataType, kFLOAT);
SAME_VALUE(DataType, kHALF);
SAME_VALUE(DataType, kINT8);
SAME_VALUE(DataType, kINT32);
SAME_VALUE(DataType, kBOOL);
SAME_VALUE(DataType, kUINT8);
SAME_VALUE(DataType, kFP8);
SAME_VALUE(DataType, kBF16);
SAME_VALUE(DataType, kINT64);

SAME_SIZE(TensorFormat);
SAME_VALUE(TensorFormat, kLINEAR);
SAME_VALUE(TensorFormat, kHWC8);
SAME_VALUE(TensorFormat, kHWC);

SAME_SIZE(PluginFieldType);
SAME_VALUE(PluginFieldType, kFLOAT16);
SAME_VALUE(PluginFieldType, kFLOAT32);
SAME_VALUE(PluginFieldType, kFLOAT64);
SAME_VALUE(PluginFieldType, kINT8);
SAME_VALUE(PluginFieldType, kINT16);
SAME_VALUE(PluginFieldType, kINT32);
SAME_VALUE(PluginFieldType, kCHAR);
SAME_VALUE(PluginFieldType, kDIMS);
SAME_VALUE(PluginFieldType, kUNKNOWN);
SAME_VALUE(PluginFieldType, kBF16);
SAME_VALUE(PluginFieldType, kINT64);

SAME_SIZE(PluginCapabilityType);
SAME_VALUE(PluginCapabilityType, kCORE);
SAME_VALUE(PluginCapabilityType, kBUILD);
SAME_VALUE(PluginCapabilityType, kRUNTIME);

SAME_SIZE(TensorRTPhase);
SAME_VALUE(TensorRTPhase, kBUILD);
SAME_VALUE(TensorRTPhase, kRUNTIME);

SAME_SIZE(DimensionOperation);
SAME_VALUE(DimensionOperation, kSUM);
SAME_VALUE(DimensionOperation, kPROD);
SAME_VALUE(DimensionOperation, kMAX);
SAME_VALUE(DimensionOperation, kMIN);
SAME_VALUE(DimensionOperation, kSUB);
SAME_VALUE(DimensionOperation, kEQUAL);
SAME_VALUE(DimensionOperation, kLESS);
SAME_VALUE(DimensionOperation, kFLOOR_DIV);
SAME_VALUE(DimensionOperation, kCEIL_DIV);

SAME_SIZE(APILanguage);
SAME_VALUE(APILanguage, kCPP);
SAME_VALUE(APILanguage, kPYTHON);

static_assert(ours::Dims::MAX_DIMS == official::Dims::MAX_DIMS, "MAX_DIMS");
SAME_SIZE(Dims);
SAME_OFFSET(Dims, nbDims);
SAME_OFFSET(Dims, d);
SAME_SIZE(PluginTensorDesc);
SAME_OFFSET(PluginTensorDesc, dims);
SAME_OFFSET(PluginTensorDesc, type);
SAME_OFFSET(PluginTensorDesc, format);
SAME_OFFSET(PluginTensorDesc, scale);
SAME_SIZE(DynamicPluginTensorDesc);
SAME_OFFSET(DynamicPluginTensorDesc, desc);
SAME_OFFSET(DynamicPluginTensorDesc, min);
SAME_OFFSET(DynamicPluginTensorDesc, max);
SAME_OFFSET(DynamicPluginTensorDesc, opt);
SAME_SIZE(PluginField);
SAME_OFFSET(PluginField, name);
SAME_OFFSET(PluginField, data);
SAME_OFFSET(PluginField, type);
SAME_OFFSET(PluginField, length);
SAME_SIZE(PluginFieldCollection);
SAME_OFFSET(PluginFieldCollection, nbFields);
SAME_OFFSET(PluginFieldCollection, fields);
SAME_SIZE(DimsExprs);
SAME_OFFSET(DimsExprs, nbDims);
SAME_OFFSET(DimsExprs, d);
SAME_SIZE(InterfaceInfo);
SAME_OFFSET(InterfaceInfo, kind);
SAME_OFFSET(InterfaceInfo, major);
SAME_OFFSET(InterfaceInfo, minor);
SAME_SIZE(IVersionedInterface);
SAME_SIZE(IPluginV3);
SAME_SIZE(IPluginCapability);
SAME_SIZE(IPluginV3OneCore);
SAME_SIZE(IPluginV3OneBuild);
SAME_SIZE(IPluginV3OneRuntime);
SAME_SIZE(IPluginCreatorV3One);
SAME_SIZE(IDimensionExpr);
SAME_SIZE(IExprBuilder);

namespace {

int differences = 0;

// The Itanium ABI's pointer to a virtual member function holds 1 + the offset in the vtable.
template <class Member>
ptrdiff_t slot(Member member) {
  ptrdiff_t parts[2];
  static_assert(sizeof(member) == sizeof(parts), "not the Itanium ABI");
  std::memcpy(parts, &member, sizeof(parts));
  return parts[0] % 2 == 1 ? parts[0] / static_cast<ptrdiff_t>(sizeof(void*)) : -1;
}

template <class Ours, class Official>
void same_slot(char const* name, Ours our, Official theirs) {
  if (slot(our) >= 0 && slot(our) == slot(theirs)) return;
  std::printf("%s: slot %td here, %td there\n", name, slot(our), slot(theirs));
  ++differences;
}

#define SAME_SLOT(type, method) same_slot(#type "::" #method, &ours::type::method, &official::type::method)
#define SAME_INNER_SLOT(type, inner, method) \
  same_slot(#type "::" #method, &ours::type::method, &official::apiv::inner::method)

template <class Ours, class Official>
void same_info(char const* name, Ours const& our, Official const& theirs) {
  auto const a = our.Ours::getInterfaceInfo();
  auto const b = theirs.Official::getInterfaceInfo();
  if (std::strcmp(a.kind, b.kind) == 0 && a.major == b.major && a.minor == b.minor) return;
  std::printf("%s: %s %d.%d here, %s %d.%d there\n", name, a.kind, a.major, a.minor, b.kind, b.major, b.minor);
  ++differences;
}

// Storage seen as an interface, without constructing it: getInterfaceInfo is called by its qualified name.
template <class Interface>
Interface const& unborn() {
  alignas(16) static unsigned char storage[256];
  return *reinterpret_cast<Interface const*>(storage);
}

#define SAME_INFO(type) same_info(#type, unborn<ours::type>(), unborn<official::type>())

}  // namespace

int main() {
  SAME_SLOT(IVersionedInterface, getAPILanguage);
  SAME_SLOT(IVersionedInterface, getInterfaceInfo);
  SAME_SLOT(IPluginV3, getCapabilityInterface);
  SAME_SLOT(IPluginV3, clone);
  SAME_SLOT(IPluginV3OneCore, getPluginName);
  SAME_SLOT(IPluginV3OneCore, getPluginVersion);
  SAME_SLOT(IPluginV3OneCore, getPluginNamespace);
  SAME_SLOT(IPluginV3OneBuild, configurePlugin);
  SAME_SLOT(IPluginV3OneBuild, getOutputDataTypes);
  SAME_SLOT(IPluginV3OneBuild, getOutputShapes);
  SAME_SLOT(IPluginV3OneBuild, supportsFormatCombination);
  SAME_SLOT(IPluginV3OneBuild, getNbOutputs);
  SAME_SLOT(IPluginV3OneBuild, getWorkspaceSize);
  SAME_SLOT(IPluginV3OneBuild, getValidTactics);
  SAME_SLOT(IPluginV3OneBuild, getNbTactics);
  SAME_SLOT(IPluginV3OneBuild, getTimingCacheID);
  SAME_SLOT(IPluginV3OneBuild, getFormatCombinationLimit);
  SAME_SLOT(IPluginV3OneBuild, getMetadataString);
  SAME_SLOT(IPluginV3OneRuntime, setTactic);
  SAME_SLOT(IPluginV3OneRuntime, onShapeChange);
  SAME_SLOT(IPluginV3OneRuntime, enqueue);
  SAME_SLOT(IPluginV3OneRuntime, attachToContext);
  SAME_SLOT(IPluginV3OneRuntime, getFieldsToSerialize);
  SAME_SLOT(IPluginCreatorV3One, createPlugin);
  SAME_SLOT(IPluginCreatorV3One, getFieldNames);
  SAME_SLOT(IPluginCreatorV3One, getPluginName);
  SAME_SLOT(IPluginCreatorV3One, getPluginVersion);
  SAME_SLOT(IPluginCreatorV3One, getPluginNamespace);
  SAME_INNER_SLOT(ExpressionImplementation, VDimensionExpr, isConstant);
  SAME_INNER_SLOT(ExpressionImplementation, VDimensionExpr, getConstantValue);
  SAME_INNER_SLOT(ExpressionImplementation, VDimensionExpr, isSizeTensor);
  SAME_INNER_SLOT(ExprBuilderImplementation, VExprBuilder, constant);
  SAME_INNER_SLOT(ExprBuilderImplementation, VExprBuilder, operation);
  SAME_INNER_SLOT(ExprBuilderImplementation, VExprBuilder, declareSizeTensor);
  SAME_INFO(IPluginV3);
  SAME_INFO(IPluginV3OneCore);
  SAME_INFO(IPluginV3OneBuild);
  SAME_INFO(IPluginV3OneRuntime);
  SAME_INFO(IPluginCreatorV3One);
  if (differences == 0) std::puts("plugin_abi.h agrees with the official headers");
  return differences == 0 ? 0 : 1;
}
