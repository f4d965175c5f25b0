# Helpers of the build: one folder = one namespace = one target.
#
#   codmoe_module(NAME [PCH tensor|nn] [DEPS module…] [LINKS target…] [PRIVATE_LINKS target…])
#       src/NAME/*.cpp and src/NAME/cpu/*.cpp, with CODMOE_CUDA also src/NAME/cuda/*.{cu,cpp} -> codmoe::NAME
#   codmoe_apps(DEPS module… LINKS target…)
#       apps/common/*.cpp -> codmoe_apps_common, apps/codmoe-*.cpp -> one program a file
# A folder without sources is skipped.

# Gives `target` the common flags, the project's headers, a run path to LibTorch and the precompiled header `pch`.
function(codmoe_configure target pch)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:codmoe_flags>)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
  codmoe_set_run_path(${target})
  codmoe_use_pch(${target} ${pch})
  if(pch STREQUAL "nn" AND CODMOE_UNITY)
    # torch/nn's templates cost each source 3 s, mostly the same ones: in groups of five the build is 3 times as fast.
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 5)
  endif()
endfunction()

# Sets `out` to the targets of the modules named.
function(codmoe_targets out)
  set(targets ${ARGN})
  list(TRANSFORM targets PREPEND codmoe_)
  set(${out} ${targets} PARENT_SCOPE)
endfunction()

function(codmoe_module name)
  cmake_parse_arguments(arg "" "PCH" "DEPS;LINKS;PRIVATE_LINKS" PCH tensor ${ARGN})
  set(patterns *.cpp cpu/*.cpp)
  if(CODMOE_CUDA)
    list(APPEND patterns cuda/*.cu cuda/*.cpp)
  endif()
  list(TRANSFORM patterns PREPEND "${PROJECT_SOURCE_DIR}/src/${name}/")
  file(GLOB sources CONFIGURE_DEPENDS ${patterns})
  codmoe_targets(deps ${arg_DEPS})
  if(sources)
    add_library(codmoe_${name} ${sources})
    codmoe_configure(codmoe_${name} ${arg_PCH})
    # codmoe_flags has -fPIC already; static and shared builds so share objects in the compiler cache.
    set_target_properties(codmoe_${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF DEFINE_SYMBOL "")
    target_link_libraries(codmoe_${name} PUBLIC ${deps} ${arg_LINKS} PRIVATE ${arg_PRIVATE_LINKS})
  else()  # headers alone
    add_library(codmoe_${name} INTERFACE)
    target_include_directories(codmoe_${name} INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
    target_link_libraries(codmoe_${name} INTERFACE ${deps} ${arg_LINKS})
  endif()
  set_target_properties(codmoe_${name} PROPERTIES EXPORT_NAME ${name})
  add_library(codmoe::${name} ALIAS codmoe_${name})
  set_property(GLOBAL APPEND PROPERTY codmoe_modules ${name})
endfunction()

function(codmoe_apps)
  cmake_parse_arguments(arg "" "" "DEPS;LINKS" ${ARGN})
  codmoe_targets(deps ${arg_DEPS})
  file(GLOB common CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/apps/common/*.cpp")
  file(GLOB programs CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/apps/codmoe-*.cpp")
  if(common)
    add_library(codmoe_apps_common STATIC ${common})
    codmoe_configure(codmoe_apps_common nn)
    target_include_directories(codmoe_apps_common PUBLIC "${PROJECT_SOURCE_DIR}/apps")
    target_compile_definitions(codmoe_apps_common PRIVATE CODMOE_VERSION="${PROJECT_VERSION}")
    target_link_libraries(codmoe_apps_common PUBLIC ${deps} ${arg_LINKS})
  endif()
  foreach(source IN LISTS programs)
    get_filename_component(program "${source}" NAME_WE)
    add_executable(${program} "${source}")
    codmoe_configure(${program} nn)
    target_link_libraries(${program} PRIVATE codmoe_apps_common)
    set_property(GLOBAL APPEND PROPERTY codmoe_programs ${program})
  endforeach()
endfunction()
