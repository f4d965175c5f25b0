// Whether tests that need a GPU can run.
#pragma once

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>

namespace codmoe::test {

inline bool has_cuda() { return at::hasCUDA() && at::detail::getCUDAHooks().deviceCount() > 0; }

}  // namespace codmoe::test
