// Four neighbouring elements of a map: as they lie in memory, and as float32.
#pragma once

#include <cuda_bf16.h>

namespace codmoe::ops::cuda {

struct Quad {
  float at[4];
};

template <class T>
struct Packing;
template <>
struct Packing<float> {
  using Type = float4;
};
template <>
struct Packing<__nv_bfloat16> {
  using Type = uint2;
};
/// Four elements in as few registers as they need.
template <class T>
using Packed = typename Packing<T>::Type;

template <class T>
__device__ inline Packed<T> load_packed(const T* from) {
  return *reinterpret_cast<const Packed<T>*>(from);
}

__device__ inline Quad unpack(const float4& packed) { return {packed.x, packed.y, packed.z, packed.w}; }
__device__ inline Quad unpack(const uint2& packed) {
  // A bfloat16 is a float32's upper half.
  return {__uint_as_float(packed.x << 16), __uint_as_float(packed.x & 0xffff0000U), __uint_as_float(packed.y << 16),
          __uint_as_float(packed.y & 0xffff0000U)};
}

template <class T>
__device__ inline Quad load_quad(const T* from) {
  return unpack(load_packed(from));
}

__device__ inline void store_quad(float* to, const Quad& quad) {
  *reinterpret_cast<float4*>(to) = {quad.at[0], quad.at[1], quad.at[2], quad.at[3]};
}
__device__ inline void store_quad(__nv_bfloat16* to, const Quad& quad) {
  auto* pairs = reinterpret_cast<__nv_bfloat162*>(to);
  __nv_bfloat162 halves[2] = {__floats2bfloat162_rn(quad.at[0], quad.at[1]),
                              __floats2bfloat162_rn(quad.at[2], quad.at[3])};
  *reinterpret_cast<uint2*>(pairs) = *reinterpret_cast<const uint2*>(halves);
}

}  // namespace codmoe::ops::cuda
