// Launching a kernel that overlaps the end of the one before it.
#pragma once

#include <cuda_runtime.h>

#include <map>
#include <utility>

namespace codmoe::ops::cuda {

/// Whether the code of `kernel` for the current device waits for the kernel before it: previous_kernel.cuh asks
/// __CUDA_ARCH__, which ptxVersion tells, also of what the driver makes of an older architecture's PTX for a newer GPU.
inline bool waits_for_previous(const void* kernel) {
  thread_local std::map<std::pair<const void*, int>, bool> known;  // since asking takes about as long as launching
  int device = 0;
  cudaGetDevice(&device);
  const auto [entry, is_new] = known.try_emplace({kernel, device}, false);
  if (is_new) {
    cudaFuncAttributes attributes{};  // where there are none, the launch will say why
    entry->second = cudaFuncGetAttributes(&attributes, kernel) == cudaSuccess && attributes.ptxVersion >= 90;
  }
  return entry->second;
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
  config.numAttrs = waits_for_previous(reinterpret_cast<const void*>(kernel)) ? 1 : 0;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

}  // namespace codmoe::ops::cuda
