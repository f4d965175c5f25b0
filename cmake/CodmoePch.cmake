# Precompiled headers: one target a header of cmake/pch/, reused by every target of that kind.

# Gives `target` the precompiled header `kind` (tensor, nn, test). All users of a kind must have the same compiler flags.
function(codmoe_use_pch target kind)
  if(NOT CODMOE_PCH)
    return()
  endif()
  if(NOT TARGET codmoe_pch_${kind})
    codmoe_add_pch(${kind})
  endif()
  target_precompile_headers(${target} REUSE_FROM codmoe_pch_${kind})
endfunction()

function(codmoe_add_pch kind)
  set(source "${PROJECT_BINARY_DIR}/pch/${kind}.cpp")
  file(GENERATE OUTPUT "${source}" CONTENT "")
  add_library(codmoe_pch_${kind} OBJECT "${source}")
  target_link_libraries(codmoe_pch_${kind} PRIVATE codmoe_flags codmoe::torch codmoe::logging)
  target_include_directories(codmoe_pch_${kind} PRIVATE "${PROJECT_SOURCE_DIR}/include")
  if(kind STREQUAL test)
    target_link_libraries(codmoe_pch_${kind} PRIVATE codmoe_test_flags GTest::gtest)
  endif()
  target_precompile_headers(codmoe_pch_${kind} PRIVATE "${PROJECT_SOURCE_DIR}/cmake/pch/${kind}.h")
endfunction()
