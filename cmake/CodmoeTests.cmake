# Tests: tests/NAME/*.cpp -> one GoogleTest binary codmoe-NAME-tests a folder (with the module of that name, or with
# every module where the folder is not a module's), all tests/*/*_gpu_test.cpp -> codmoe-gpu-tests. tests/support/*.cpp
# is linked into all. A binary is one test of ctest, since loading LibTorch takes longer than most tests; its name and
# label are the folder's. Tests run in the source folder; CODMOE_SOURCE_DIR is the path from there, so that binaries and
# the compiler cache serve any clone.
include(CodmoeHeaderCheck)

# Rough seconds of the longest, for ctest to begin with them; after a first run it goes by what it measured.
set(codmoe_test_seconds_integration 30)
set(codmoe_test_seconds_install.consumer 25)
set(codmoe_test_seconds_moe 12)

# What a test ends with where nothing of it can run on this machine: no GPU, no torch in Python.
set(codmoe_test_skipped 77)

function(codmoe_tests)
  get_property(modules GLOBAL PROPERTY codmoe_modules)
  codmoe_targets(everything ${modules})
  if(TARGET codmoe_apps_common)
    list(APPEND everything codmoe_apps_common)
  endif()
  list(APPEND everything codmoe_bench_cases)
  file(GLOB support CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/support/*.cpp")
  add_library(codmoe_test_support OBJECT ${support})
  codmoe_configure_test(codmoe_test_support)
  target_link_libraries(codmoe_test_support PUBLIC codmoe_dist)  # ranks.cpp

  file(GLOB folders CONFIGURE_DEPENDS LIST_DIRECTORIES true "${PROJECT_SOURCE_DIR}/tests/*")
  list(FILTER folders EXCLUDE REGEX "/(support|fuzz)$")
  foreach(folder IN LISTS folders)
    get_filename_component(name "${folder}" NAME)
    file(GLOB sources CONFIGURE_DEPENDS "${folder}/*.cpp")
    set(gpu ${sources})
    list(FILTER gpu INCLUDE REGEX "_gpu_test\\.cpp$")
    list(APPEND gpu_sources ${gpu})
    list(FILTER sources EXCLUDE REGEX "_gpu_test\\.cpp$")
    if(name IN_LIST modules)
      codmoe_test(${name} "${sources}" codmoe_${name})
      target_include_directories(codmoe-${name}-tests PRIVATE "${PROJECT_SOURCE_DIR}/src")  # the module's own headers
    elseif(name STREQUAL "bench")  # of benchmarks/
      codmoe_test(bench "${sources}" codmoe_bench_cases)
    elseif(name STREQUAL "architecture")  # reads sources alone
      codmoe_test(${name} "${sources}")
    else()
      codmoe_test(${name} "${sources}" ${everything})
    endif()
  endforeach()
  codmoe_test(gpu "${gpu_sources}" ${everything})
  codmoe_endurance_target()
  codmoe_header_checks()
  codmoe_install_test()
  codmoe_python_tests()
  codmoe_fuzz_target()
endfunction()

# `cmake --build … --target endurance`: the tests of tests/endurance at full length, about half an hour on two cores.
function(codmoe_endurance_target)
  add_custom_target(endurance
    COMMAND "${CMAKE_COMMAND}" -E env CODMOE_KILLS=50 CODMOE_RANK_KILLS=6 CODMOE_SOAK_STEPS=20000 $<TARGET_FILE:codmoe-endurance-tests>
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" USES_TERMINAL DEPENDS codmoe-endurance-tests codmoe-train)
endfunction()

# codmoe-fuzz: damaged files for the readers, a program to run by hand under the sanitizers (preset asan). No test, and
# not built unless named. It has the few sources it needs of modules whose libraries would bring everything.
function(codmoe_fuzz_target)
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/fuzz/*.cpp")
  add_executable(codmoe-fuzz EXCLUDE_FROM_ALL ${sources} "${PROJECT_SOURCE_DIR}/src/config/yaml.cpp"
                 "${PROJECT_SOURCE_DIR}/benchmarks/record.cpp")
  foreach(name report/csv report/other_scores engine/saved_state engine/run_log engine/event_file engine/tfevents
               engine/seed_scores)
    target_sources(codmoe-fuzz PRIVATE "${PROJECT_SOURCE_DIR}/src/${name}.cpp")
  endforeach()
  codmoe_configure(codmoe-fuzz tensor)
  target_include_directories(codmoe-fuzz PRIVATE "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/src"
                             "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(codmoe-fuzz PRIVATE codmoe_data codmoe_core codmoe::opencv codmoe::yaml)
endfunction()

# A program of five lines and the example of an own expert build and run against the install tree.
function(codmoe_install_test)
  if(CODMOE_SANITIZE)
    return()
  endif()
  add_test(NAME install.consumer COMMAND "${CMAKE_COMMAND}" -D "BUILD=${PROJECT_BINARY_DIR}"
    -D "LIBTORCH=${LibTorch_ROOT}" -D "WORK=${PROJECT_BINARY_DIR}/consumer" -D "OPENCV=${OpenCV_DIR}"
    -D "COMPILER=${CMAKE_CXX_COMPILER}" -P "${PROJECT_SOURCE_DIR}/tests/integration/consumer/run.cmake")
  set_tests_properties(install.consumer PROPERTIES LABELS integration COST ${codmoe_test_seconds_install.consumer})
endfunction()

# Tests in Python, with that of LibTorch's wheel where there is one: the converter, and the report's page, which is
# parsed and, where there is Chromium, shown.
function(codmoe_python_tests)
  find_program(CODMOE_PYTHON NAMES python3 HINTS "${LibTorch_ROOT}/../../../../bin" DOC "Python for the tests in it")
  mark_as_advanced(CODMOE_PYTHON)
  codmoe_python_test(convert convert tests/convert/codmoe_convert_test.py)
  codmoe_python_test(report.page report tests/report/page_test.py "${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
  codmoe_python_test(report.browser report tests/report/page_test.py "${CMAKE_RUNTIME_OUTPUT_DIRECTORY}" --browser)
endfunction()

# codmoe_python_test(NAME LABEL SCRIPT argument…)
function(codmoe_python_test name label script)
  add_test(NAME ${name} COMMAND "${CODMOE_PYTHON}" ${script} ${ARGN} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  set_tests_properties(${name} PROPERTIES LABELS ${label} SKIP_RETURN_CODE ${codmoe_test_skipped})
  if(NOT CODMOE_PYTHON)
    set_tests_properties(${name} PROPERTIES DISABLED TRUE)
  endif()
endfunction()

# codmoe_test(LABEL "sources" library…): one GoogleTest binary, a test of ctest.
function(codmoe_test label sources)
  if(NOT sources)
    return()
  endif()
  set(target codmoe-${label}-tests)
  add_executable(${target} ${sources})
  codmoe_configure_test(${target})
  target_link_libraries(${target} PRIVATE ${ARGN} codmoe_test_support)
  add_test(NAME ${label} COMMAND ${target} --gtest_brief=1 WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  set_tests_properties(${label} PROPERTIES LABELS ${label} SKIP_RETURN_CODE ${codmoe_test_skipped})
  if(codmoe_test_seconds_${label})
    set_tests_properties(${label} PROPERTIES COST ${codmoe_test_seconds_${label}})
  endif()
endfunction()

function(codmoe_configure_test target)
  file(RELATIVE_PATH binary_dir "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}")
  codmoe_configure(${target} test)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  target_compile_definitions(${target} PRIVATE CODMOE_SOURCE_DIR="." CODMOE_BINARY_DIR="${binary_dir}")
  target_link_libraries(${target} PRIVATE codmoe_test_flags codmoe_core GTest::gtest)
endfunction()
