# Compiler flags of every target of this project; linked privately, so that they don't reach its users.
add_library(codmoe_flags INTERFACE)
target_compile_definitions(codmoe_flags INTERFACE $<$<BOOL:${CODMOE_CUDA}>:CODMOE_CUDA>)
# -fPIC everywhere, since a precompiled header serves only one kind of code, and the libraries may end up in a plugin.
target_compile_options(codmoe_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow;-Wnon-virtual-dtor;-Woverloaded-virtual>
  $<$<COMPILE_LANGUAGE:CXX>:-fPIC;-fno-semantic-interposition>
  $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-fPIC,-Wall,-Wextra;--compress-mode=size>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(codmoe_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)  # for ccache
endif()
if(CODMOE_WERROR)
  # Whether a value may be uninitialised is a guess of the optimiser, and differs between compiler versions.
  target_compile_options(codmoe_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Werror;-Wno-error=maybe-uninitialized> $<$<COMPILE_LANGUAGE:CUDA>:--Werror=all-warnings>)
endif()
if(CODMOE_SANITIZE)
  set(sanitizers ${CODMOE_SANITIZE})
  if(CODMOE_SANITIZE STREQUAL "address")
    set(sanitizers address,undefined)
  endif()
  target_compile_options(codmoe_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${sanitizers};-fno-omit-frame-pointer>)
  target_link_options(codmoe_flags INTERFACE -fsanitize=${sanitizers})
endif()

# Tests are compiled once and run once: -O1 saves a fifth of their compile time.
add_library(codmoe_test_flags INTERFACE)
target_compile_options(codmoe_test_flags INTERFACE $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CONFIG:Release>>:-O1>)
