# Installs the build into a fresh prefix, then configures, builds and runs the consumer and an example against it.
# cmake -D BUILD=… -D LIBTORCH=… -D WORK=… -D OPENCV=… -D COMPILER=… -P run.cmake
file(REMOVE_RECURSE "${WORK}")
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(status)
    message(FATAL_ERROR "${ARGN}\n${output}")
  endif()
endfunction()

run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${WORK}/prefix")
run("${CMAKE_COMMAND}" -S "${CMAKE_CURRENT_LIST_DIR}" -B "${WORK}/build" -G Ninja "-DCMAKE_PREFIX_PATH=${WORK}/prefix"
    "-DLibTorch_DIR=${LIBTORCH}" "-DCMAKE_CXX_COMPILER=${COMPILER}" "-DOpenCV_DIR=${OPENCV}" -DCMAKE_BUILD_TYPE=Debug
    "-DCMAKE_CXX_FLAGS_DEBUG=-O0")
run("${CMAKE_COMMAND}" --build "${WORK}/build")
foreach(program IN ITEMS consumer own_expert)
  run("${CMAKE_COMMAND}" -E env --unset=LD_LIBRARY_PATH "${WORK}/build/${program}")
endforeach()
