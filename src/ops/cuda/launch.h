// Launching a kernel that overlaps the end of the one before it.
#pragma once

#include <cuda_runtime.h>

namespace codmoe::ops::cuda {

/// Whether the current device can overlap two kernels of a stream so.
inline bool overlaps_kernels() {
  int device = 0, major = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  return major >= 9;
}

/// Launches a kernel that may start while the one before it in the stream still runs, and waits for it itself.
template <class... Parameters, class... Arguments>
cudaError_t launch_after(void (*kernel)(Parameters...), dim3 grid, dim3 threads, int shared_bytes, cudaStream_t stream,
                         const Arguments&... arguments) {
  cudaLaunchAttribute overlap{};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = threads;
  config.dynamicSmemBytes = static_cast<std::size_t>(shared_bytes);
  config.stream = stream;
  config.attrs = &overlap;
  config.numAttrs = overlaps_kernels() ? 1 : 0;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

}  // namespace codmoe::ops::cuda
