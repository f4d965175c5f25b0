// From the layer's description to its launches.
#pragma once

#include <cuda_runtime.h>

#include "launch.h"
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

/// Whether the build has kernels for the current device.
bool has_code();

cudaError_t launch_router(const Layer& layer, const Scratch& scratch, int counters, cudaStream_t stream);
cudaError_t launch_bfloat16(const Layer& layer, const Plan& plan, cudaStream_t stream);
cudaError_t launch_tf32(const Layer& layer, const Plan& plan, cudaStream_t stream);
cudaError_t launch_float32(const Layer& layer, const Plan& plan, cudaStream_t stream);

}  // namespace codmoe::ops::cuda
