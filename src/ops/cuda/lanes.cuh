// A thread's place in a block of one dimension.
#pragma once

namespace codmoe::ops::cuda {

__device__ inline int lane_of() { return static_cast<int>(threadIdx.x) % 32; }
__device__ inline int warp_of() { return static_cast<int>(threadIdx.x) / 32; }

}  // namespace codmoe::ops::cuda
