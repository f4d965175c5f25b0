# Finds everything codmoe links; used by the build and, installed, by find_package(codmoe). CODMOE_CUDA must be set.
# Makes codmoe::torch, codmoe::logging, codmoe::opencv and codmoe::yaml.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(LibTorch 2.11)
find_dependency(fmt)
find_dependency(spdlog)
find_dependency(nlohmann_json)
find_dependency(OpenCV 4 COMPONENTS core imgproc imgcodecs)
find_dependency(yaml-cpp)

if(NOT TARGET codmoe::logging)
  # LibTorch's include folder holds its own fmt, newer than the distribution's spdlog can read: the distribution's goes
  # first. (Through a link, since the compiler ignores -isystem for the standard include folder itself.)
  find_path(CODMOE_FMT_INCLUDE fmt/format.h NO_CMAKE_PATH NO_CMAKE_ENVIRONMENT_PATH REQUIRED)
  mark_as_advanced(CODMOE_FMT_INCLUDE)
  file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/fmt-first")
  file(CREATE_LINK "${CODMOE_FMT_INCLUDE}/fmt" "${CMAKE_BINARY_DIR}/fmt-first/fmt" SYMBOLIC)
  target_include_directories(codmoe::torch SYSTEM BEFORE INTERFACE "${CMAKE_BINARY_DIR}/fmt-first")

  add_library(codmoe::logging INTERFACE IMPORTED)
  target_link_libraries(codmoe::logging INTERFACE spdlog::spdlog fmt::fmt nlohmann_json::nlohmann_json)
  add_library(codmoe::opencv INTERFACE IMPORTED)
  target_include_directories(codmoe::opencv SYSTEM INTERFACE ${OpenCV_INCLUDE_DIRS})
  target_link_libraries(codmoe::opencv INTERFACE opencv_imgcodecs opencv_imgproc opencv_core)
  add_library(codmoe::yaml INTERFACE IMPORTED)
  if(TARGET yaml-cpp::yaml-cpp)  # its name since yaml-cpp 0.8
    target_link_libraries(codmoe::yaml INTERFACE yaml-cpp::yaml-cpp)
  else()
    target_link_libraries(codmoe::yaml INTERFACE yaml-cpp)
  endif()
endif()
