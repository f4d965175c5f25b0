// Reading and writing maps in chunks of 16 bytes, and values of vectors, as float32.
#pragma once

#include <cuda_bf16.h>

#include "fused_moe.h"
#include "gelu.cuh"
#include "previous_kernel.cuh"
#include "warp.cuh"

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

}  // namespace codmoe::ops::cuda
