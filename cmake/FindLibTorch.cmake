# Finds LibTorch without its own CMake package, which stops where LibTorch was built with CUDA and there is no toolkit.
#
# Looked for, in this order: LibTorch_DIR and CMAKE_PREFIX_PATH (variable or environment; each a libtorch folder, a
# wheel's torch folder, the folder above one, or share/cmake inside one), then the wheel that cmake/setup.sh keeps in
# ${XDG_CACHE_HOME:-~/.cache}/codmoe/libtorch-2.11.*.
#
# Makes the target codmoe::torch: system include folders and the libraries; with CODMOE_CUDA also the CUDA libraries.
# Makes codmoe::nccl: with CODMOE_CUDA and where NCCL's header is found, what several GPUs need; else nothing.
# Sets LibTorch_FOUND, LibTorch_VERSION, LibTorch_ROOT and LibTorch_LIBRARY_DIRS (for a run path).

set(libtorch_hints ${LibTorch_DIR})
string(REPLACE ":" ";" libtorch_prefixes "$ENV{CMAKE_PREFIX_PATH}")
foreach(prefix IN LISTS CMAKE_PREFIX_PATH libtorch_prefixes)
  list(APPEND libtorch_hints "${prefix}" "${prefix}/torch" "${prefix}/libtorch" "${prefix}/../.." "${prefix}/../../..")
endforeach()
set(libtorch_cache "$ENV{XDG_CACHE_HOME}")
if(NOT libtorch_cache)
  set(libtorch_cache "$ENV{HOME}/.cache")
endif()
file(GLOB libtorch_wheels "${libtorch_cache}/codmoe/libtorch-2.11.*/lib/python3*/site-packages/torch")

set(libtorch_version_header include/torch/headeronly/version.h)
find_path(LibTorch_ROOT "${libtorch_version_header}" HINTS ${libtorch_hints} PATHS ${libtorch_wheels} NO_DEFAULT_PATH)
if(LibTorch_ROOT)
  file(STRINGS "${LibTorch_ROOT}/${libtorch_version_header}" libtorch_version_lines
       REGEX "^#define TORCH_VERSION_(MAJOR|MINOR|PATCH) [0-9]+")
  string(REGEX MATCHALL "[0-9]+" LibTorch_VERSION "${libtorch_version_lines}")
  list(JOIN LibTorch_VERSION "." LibTorch_VERSION)
endif()

set(libtorch_libraries "")
set(libtorch_required LibTorch_ROOT)
set(libtorch_names torch_cpu c10)
if(CODMOE_CUDA)
  list(APPEND libtorch_names torch_cuda c10_cuda)
endif()
foreach(name IN LISTS libtorch_names)
  find_library(LibTorch_${name}_LIBRARY ${name} PATHS "${LibTorch_ROOT}/lib" NO_DEFAULT_PATH)
  mark_as_advanced(LibTorch_${name}_LIBRARY)
  list(APPEND libtorch_required LibTorch_${name}_LIBRARY)
  list(APPEND libtorch_libraries "${LibTorch_${name}_LIBRARY}")
endforeach()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch REQUIRED_VARS ${libtorch_required} VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "set CMAKE_PREFIX_PATH to a LibTorch 2.11 folder, or run cmake/setup.sh")

if(LibTorch_FOUND)
  # A wheel keeps CUDA's libraries beside the torch folder; a downloaded LibTorch keeps them in its own lib folder.
  file(GLOB libtorch_nvidia "${LibTorch_ROOT}/../nvidia/cu13/lib")
  set(LibTorch_LIBRARY_DIRS "${LibTorch_ROOT}/lib" ${libtorch_nvidia})
endif()

if(LibTorch_FOUND AND NOT TARGET codmoe::torch)
  add_library(codmoe::torch INTERFACE IMPORTED)
  target_include_directories(codmoe::torch SYSTEM INTERFACE
    "${LibTorch_ROOT}/include" "${LibTorch_ROOT}/include/torch/csrc/api/include")
  target_compile_definitions(codmoe::torch INTERFACE _GLIBCXX_USE_CXX11_ABI=1)
  # Nothing refers to a symbol of libtorch_cuda; without --no-as-needed the linker drops it, and no GPU is ever found.
  list(JOIN libtorch_libraries "," libtorch_joined)
  target_link_libraries(codmoe::torch INTERFACE "-Wl,--push-state,--no-as-needed,${libtorch_joined},--pop-state")
  if(CODMOE_CUDA)
    find_package(CUDAToolkit 13 REQUIRED)
    target_link_libraries(codmoe::torch INTERFACE CUDA::cudart)
  endif()
endif()

if(LibTorch_FOUND AND NOT TARGET codmoe::nccl)
  add_library(codmoe::nccl INTERFACE IMPORTED)
  if(CODMOE_CUDA)
    # LibTorch holds NCCL, linked in or beside it; a wheel brings the header in a folder of its own.
    find_path(CODMOE_NCCL_INCLUDE nccl.h HINTS "${LibTorch_ROOT}/../nvidia/nccl/include" ${CUDAToolkit_INCLUDE_DIRS})
    mark_as_advanced(CODMOE_NCCL_INCLUDE)
    if(CODMOE_NCCL_INCLUDE)
      target_include_directories(codmoe::nccl SYSTEM INTERFACE "${CODMOE_NCCL_INCLUDE}")
      target_compile_definitions(codmoe::nccl INTERFACE CODMOE_NCCL)
    else()
      message(STATUS "codmoe: NCCL's header nccl.h was not found; programs will train on one GPU alone")
    endif()
  endif()
endif()
