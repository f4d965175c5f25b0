# Target codmoe-gpu: the programs and the GPU tests, with CODMOE_BUNDLE ready for another machine. The modules, as shared
# libraries so that six programs carry OpenCV once (give OpenCV_DIR a static one), and the distribution's small libraries
# lie beside the programs; LibTorch and CUDA come from PyTorch's wheel there:
#   LD_LIBRARY_PATH=…/site-packages/torch/lib:…/site-packages/nvidia/cu13/lib bin/codmoe-train …

# Makes `target` look for libraries beside itself and nowhere on the machine that built it.
function(codmoe_set_run_path target)
  if(CODMOE_BUNDLE)
    set_target_properties(${target} PROPERTIES BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "$ORIGIN")
  else()
    set_target_properties(${target} PROPERTIES BUILD_RPATH "${LibTorch_LIBRARY_DIRS}"
                          INSTALL_RPATH "${LibTorch_LIBRARY_DIRS}")
  endif()
endfunction()

function(codmoe_gpu_target)
  get_property(programs GLOBAL PROPERTY codmoe_programs)
  add_custom_target(codmoe-gpu)
  foreach(target IN ITEMS ${programs} codmoe-gpu-tests)
    if(TARGET ${target})
      add_dependencies(codmoe-gpu ${target})
    endif()
  endforeach()
  if(CODMOE_BUNDLE)
    add_custom_command(TARGET codmoe-gpu POST_BUILD COMMAND
      "${CMAKE_COMMAND}" -D "FOLDER=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}" -P "${PROJECT_SOURCE_DIR}/cmake/bundle.cmake" VERBATIM)
  endif()
endfunction()
