# A relocatable tree: include/, lib/, lib/cmake/vexkd, lib/pkgconfig. A wheel holds it as vexkd/native, without the link
# libvexkd.so, which a wheel cannot hold: whoever links names libvexkd.so.3.
include(CMakePackageConfigHelpers)
if(SKBUILD)
  set(CMAKE_INSTALL_LIBDIR lib)
  set(namelink NAMELINK_SKIP)
endif()
target_include_directories(vexkd INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
install(TARGETS vexkd EXPORT vexkd LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ${namelink})
install(DIRECTORY ${plugins}/include/ ${runtime}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/vexkd)
install(EXPORT vexkd NAMESPACE vexkd:: FILE vexkdTargets.cmake DESTINATION ${package})
configure_package_config_file(cmake/vexkdConfig.cmake.in vexkdConfig.cmake INSTALL_DESTINATION ${package}
                              NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(vexkdConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/vexkdConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/vexkdConfigVersion.cmake
        DESTINATION ${package})

file(RELATIVE_PATH to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" to_prefix "${to_prefix}")
configure_file(cmake/vexkd.pc.in vexkd.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/vexkd.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
