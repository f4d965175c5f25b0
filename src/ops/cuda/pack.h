// Parameters for inference, copied where they don't lie as its kernels read them.
#pragma once

#include <cuda_runtime_api.h>

#include "fused_moe.h"
#include "parameter.h"

namespace codmoe::ops::cuda {

/// Each parameter's copy is at `to`: weights [out, taps, in] in the element type of `math`, vectors [out] float.
struct PackList {
  Parameter parameters[kMaxParameters];
  void* to[kMaxParameters];
  int count = 0, tiles = 0;
};

cudaError_t launch_pack(const PackList& list, Math math, cudaStream_t stream);

}  // namespace codmoe::ops::cuda
