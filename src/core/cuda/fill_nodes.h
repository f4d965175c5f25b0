// Fills in captured graphs.
#pragma once

#include <cuda_runtime.h>

namespace codmoe::core::cuda {

/// Puts a kernel in the place of each node of `graph` that fills memory in one piece (cudaMemsetAsync): kernels follow
/// each other within half a microsecond, while a fill's node leaves the GPU idle for 2 to 5 (measured on an H100).
cudaError_t fill_by_kernels(cudaGraph_t graph);

}  // namespace codmoe::core::cuda
