// Reading and writing maps in chunks of 16 bytes, and values of vectors, as float32.
#pragma once

#include <cuda_bf16.h>

#include "fused_moe.h"

namespace codmoe::ops::cuda {

template <class T>
constexpr int kLanes = 16 / static_cast<int>(sizeof(T));  ///< elements of a chunk

__device__ inline float to_float(float value) { return value; }
__device__ inline float to_float(__nv_bfloat16 value) { return __bfloat162float(value); }

template <class T>
__device__ inline void unpack(const uint4& chunk, float (&values)[kLanes<T>]) {
  const T* elements = reinterpret_cast<const T*>(&chunk);
#pragma unroll
  for (int i = 0; i < kLanes<T>; ++i) values[i] = to_float(elements[i]);
}

template <class T>
__device__ inline uint4 pack(const float (&values)[kLanes<T>]) {
  uint4 chunk;
  T* elements = reinterpret_cast<T*>(&chunk);
#pragma unroll
  for (int i = 0; i < kLanes<T>; ++i) elements[i] = static_cast<T>(values[i]);
  return chunk;
}

template <class T>
__device__ inline void load_chunk(const T* from, float (&values)[kLanes<T>]) {
  unpack<T>(*reinterpret_cast<const uint4*>(from), values);
}

template <class T>
__device__ inline void store_chunk(T* to, const float (&values)[kLanes<T>]) {
  *reinterpret_cast<uint4*>(to) = pack<T>(values);
}

/// Both aligned to 16 bytes.
__device__ inline void copy_four(float* to, const float* from) {
  *reinterpret_cast<float4*>(to) = *reinterpret_cast<const float4*>(from);
}

__device__ inline float vector_at(Vector vector, int i, bool bfloat16) {
  return bfloat16 ? __bfloat162float(static_cast<const __nv_bfloat16*>(vector)[i])
                  : static_cast<const float*>(vector)[i];
}

/// scale * value + shift.
struct Affine {
  float scale = 1.0F, shift = 0.0F;
};

/// The norm or bias of channel c.
__device__ inline Affine affine_at(const Epilogue& epilogue, int c, bool bfloat16) {
  Affine affine;
  if (epilogue.gamma != nullptr) {
    affine.scale = vector_at(epilogue.gamma, c, bfloat16) * rsqrtf(vector_at(epilogue.var, c, bfloat16) + epilogue.eps);
    affine.shift = vector_at(epilogue.beta, c, bfloat16) - vector_at(epilogue.mean, c, bfloat16) * affine.scale;
  }
  if (epilogue.bias != nullptr) affine.shift += vector_at(epilogue.bias, c, bfloat16) * affine.scale;
  return affine;
}

/// Of the standard normal distribution: P(value <= x), and exp(-x^2 / 2), its density without the factor.
struct Normal {
  float below, bell;
};

/// With erfc by Abramowitz and Stegun 7.1.26 (absolute error at most 1.5e-7): a third of erff's instructions.
__device__ inline Normal normal_at(float x) {
  const float z = fabsf(x) * 0.70710678118654752F;
  const float t = __fdividef(1.0F, 1.0F + 0.3275911F * z);
  const float series =
      t * (0.254829592F + t * (-0.284496736F + t * (1.421413741F + t * (-1.453152027F + t * 1.061405429F))));
  const float bell = __expf(-z * z);
  const float half_erfc = 0.5F * series * bell;
  return {x < 0.0F ? half_erfc : 1.0F - half_erfc, bell};
}

/// Exact GELU.
__device__ inline float gelu(float x) { return x * normal_at(x).below; }

/// The derivative of GELU at x.
__device__ inline float gelu_gradient(float x) {
  const Normal normal = normal_at(x);
  return normal.below + x * (0.39894228040143268F * normal.bell);
}

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

/// Lets a kernel launched with launch_after start while this one runs.
__device__ inline void allow_next_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/// Waits for the kernel before this one where both overlap (programmatic dependent launch, compute capability 9.0),
/// then lets the next one start. What earlier kernels wrote may be read before.
__device__ inline void wait_for_previous_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
  allow_next_kernel();
}

}  // namespace codmoe::ops::cuda
