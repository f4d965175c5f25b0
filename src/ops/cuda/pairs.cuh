// Two neighbouring elements of a map as float32.
#pragma once

#include <cuda_bf16.h>

namespace codmoe::ops::cuda {

__device__ inline float2 load_pair(const float* from) { return *reinterpret_cast<const float2*>(from); }
__device__ inline float2 load_pair(const __nv_bfloat16* from) {
  return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(from));
}
__device__ inline void store_pair(float* to, float2 pair) { *reinterpret_cast<float2*>(to) = pair; }
__device__ inline void store_pair(__nv_bfloat16* to, float2 pair) {
  *reinterpret_cast<__nv_bfloat162*>(to) = __float22bfloat162_rn(pair);
}

__device__ inline float2 operator+(float2 a, float2 b) { return {a.x + b.x, a.y + b.y}; }
__device__ inline float2 operator-(float2 a, float2 b) { return {a.x - b.x, a.y - b.y}; }
__device__ inline float2 operator*(float2 a, float2 b) { return {a.x * b.x, a.y * b.y}; }
__device__ inline float2 operator*(float a, float2 b) { return {a * b.x, a * b.y}; }
__device__ inline void operator+=(float2& a, float2 b) { a = a + b; }
/// sum += a * b
__device__ inline void add_product(float2& sum, float2 a, float2 b) {
  sum.x = fmaf(a.x, b.x, sum.x);
  sum.y = fmaf(a.y, b.y, sum.y);
}

}  // namespace codmoe::ops::cuda
