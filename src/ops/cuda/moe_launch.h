// From the layer's description to its launches.
#pragma once

#include <cuda_runtime.h>

#include "schedule.h"
#include "scratch.h"

namespace codmoe::ops::cuda {

struct Plan {
  int cols = 0;  ///< tile width in filters
  Schedule prepare, branches;
  Scratch scratch;
};

/// How a layer is divided into work and scratch memory; its pointers are not read.
Plan make_plan(const Layer& layer);

/// Router, experts and mixing. plan.scratch.base is set to plan.scratch.bytes of memory, aligned to 256 bytes.
cudaError_t launch_forward(const Layer& layer, const Plan& plan, cudaStream_t stream);

/// Launches a kernel that may start while the one before it in the stream still runs, and waits for it itself.
template <class... Parameters, class... Arguments>
cudaError_t launch_after(void (*kernel)(Parameters...), dim3 grid, int threads, int shared_bytes, cudaStream_t stream,
                         const Arguments&... arguments) {
  cudaLaunchAttribute overlap{};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<std::size_t>(shared_bytes);
  config.stream = stream;
  config.attrs = &overlap;
  config.numAttrs = 1;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

cudaError_t launch_router(const Layer& layer, const Scratch& scratch, int counters, cudaStream_t stream);
cudaError_t launch_bfloat16(const Layer& layer, const Plan& plan, cudaStream_t stream);
cudaError_t launch_tf32(const Layer& layer, const Plan& plan, cudaStream_t stream);
cudaError_t launch_float32(const Layer& layer, const Plan& plan, cudaStream_t stream);

}  // namespace codmoe::ops::cuda
