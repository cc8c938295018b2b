# A relocatable tree: include/, lib/, lib/cmake/vexkd, lib/pkgconfig. A wheel holds it as vexkd/native, without the link
# libvexkd.so, which a wheel cannot hold.
if(SKBUILD)
  set(CMAKE_INSTALL_LIBDIR lib)
  install(TARGETS vexkd LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} NAMELINK_SKIP)
else()
  install(TARGETS vexkd LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(DIRECTORY ${plugins}/include/ ${runtime}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")
