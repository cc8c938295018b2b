# nlohmann/json.hpp: the system's, or that of the Python package nlohmann-json, which pip brings for a build.
find_path(NLOHMANN_INCLUDE nlohmann/json.hpp)
if(NOT NLOHMANN_INCLUDE)
  find_package(Python COMPONENTS Interpreter REQUIRED)
  execute_process(COMMAND ${Python_EXECUTABLE} -c "import nlohmann_json; print(nlohmann_json.__path__[0])"
                  OUTPUT_VARIABLE folder ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  find_path(NLOHMANN_INCLUDE nlohmann/json.hpp HINTS "${folder}/include" NO_DEFAULT_PATH)
endif()
if(NOT NLOHMANN_INCLUDE)
  message(FATAL_ERROR "nlohmann/json.hpp was not found; install it with `pip install nlohmann-json` into "
                      "${Python_EXECUTABLE}, or as nlohmann-json3-dev, or set NLOHMANN_INCLUDE to its folder")
endif()
