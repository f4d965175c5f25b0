// Reductions over the 32 lanes of a warp; the result for all.
#pragma once

namespace codmoe::ops::cuda {

__device__ inline float sum_over_warp(float value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffU, value, step);
  return value;
}

__device__ inline float max_over_warp(float value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value = fmaxf(value, __shfl_xor_sync(0xffffffffU, value, step));
  return value;
}

}  // namespace codmoe::ops::cuda
