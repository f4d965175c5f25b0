# Options of the build, the CUDA language where there is a toolkit, and the compiler cache.

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, RelWithDebInfo or Debug" FORCE)
endif()

# /usr/local/cuda is where NVIDIA's own packages put the toolkit, mostly outside PATH.
find_program(CODMOE_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
if(CODMOE_NVCC OR CMAKE_CUDA_COMPILER OR DEFINED ENV{CUDACXX})
  set(toolkit_found ON)
else()
  set(toolkit_found OFF)
endif()

option(CODMOE_CUDA "Build the CUDA kernels and link LibTorch's CUDA libraries" ${toolkit_found})
option(CODMOE_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(CODMOE_WERROR "Treat warnings as errors" OFF)
option(CODMOE_PCH "Use precompiled headers" ON)
option(CODMOE_UNITY "Compile the sources of modules with torch modules in groups; OFF compiles each alone" ON)
option(BUILD_SHARED_LIBS "Build the modules as shared libraries" OFF)
option(CODMOE_BUNDLE "Put every library but LibTorch and CUDA beside the programs, for another machine" OFF)
set(CODMOE_SANITIZE "" CACHE STRING "Sanitizer: address (with undefined behaviour), thread, or nothing")
set(CODMOE_CUDA_ARCHITECTURES "80-real;86-real;89-real;90a-real;120-real;120-virtual" CACHE STRING
    "GPU architectures of a release; 90a-real builds faster and runs on a Hopper GPU alone")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
if(CODMOE_BUNDLE)
  set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
endif()
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_program(CODMOE_CCACHE ccache)
if(CODMOE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(cache_home "$ENV{XDG_CACHE_HOME}")
  if(NOT cache_home)
    set(cache_home "$ENV{HOME}/.cache")
  endif()
  # ccache's manual, "Precompiled headers", asks for these sloppinesses; the base folder lets clones share the cache.
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env "CCACHE_DIR=${cache_home}/codmoe/ccache"
      CCACHE_SLOPPINESS=pch_defines,time_macros "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" "${CODMOE_CCACHE}")
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
endif()

if(CODMOE_CUDA)
  if(CODMOE_NVCC AND NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    set(CMAKE_CUDA_COMPILER "${CODMOE_NVCC}" CACHE FILEPATH "CUDA compiler")
  endif()
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES "${CODMOE_CUDA_ARCHITECTURES}")
  endif()
  enable_language(CUDA)
  set(CMAKE_CUDA_STANDARD 17)  # the newest that CMake 3.25 knows of nvcc
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)  # the one that LibTorch has loaded
endif()
