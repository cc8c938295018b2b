# Instead of the library, programs that feed it hostile arguments and contents under sanitizers.
foreach(part ${objects})
  target_compile_definitions(${part} PRIVATE VEXKD_SANITIZE)
  target_compile_options(${part} PUBLIC -fsanitize=${VEXKD_SANITIZE} -fno-sanitize-recover=all -g -O1)
  target_link_options(${part} PUBLIC -fsanitize=${VEXKD_SANITIZE})
endforeach()
add_executable(vexkd_sanitize tests/plugins/sanitize.cpp)
target_link_libraries(vexkd_sanitize PRIVATE ${objects} Threads::Threads ${CMAKE_DL_LIBS})
