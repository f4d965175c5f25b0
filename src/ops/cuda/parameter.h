// One parameter tensor as the fused kernels copy it into the widths that they compute in.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "groups.h"

namespace codmoe::ops::cuda {

constexpr int kMaxParameters = 128;  ///< tensors of one list

/// Where the tensor has what the kernels see at `index`, or -1 for a zero.
__host__ __device__ constexpr int given_index(const Groups& groups, int index) {
  if (groups.given == groups.width) return index;  // mostly, and a division is dear
  const int group = index / groups.width, at = index - group * groups.width;
  return at < groups.given ? group * groups.given + at : -1;
}

/// A weight [out, in, taps] or a vector [out], in its own strides and type; sizes are the kernels'.
struct Parameter {
  const void* value = nullptr;
  void* gradient = nullptr;  ///< written whole by the backward, in the same strides and type
  int out_stride = 1, in_stride = 1, tap_stride = 1;
  int packed = 0;    ///< elements into TrainingMemory::weights, of vectors floats into ::vectors; or into PackList::to
  int reversed = 0;  ///< weights: of [in, taps, out]; depthwise filters: of [mirrored taps, out]; -1: not copied so
  int first_tile = 0;  ///< of the copying, where this parameter's tiles begin
  int16_t out = 0, in = 1, taps = 1;
  Groups out_groups, in_groups;
  bool bfloat16 = false;
  bool vector = true;  ///< packed as float [taps, out]: vectors and depthwise filters of training
};
static_assert(sizeof(Parameter) <= 56, "kMaxParameters of them are copied with every launch of a training kernel");

constexpr int kPackSide = 32;  ///< a tile of the copying is 32 filters times 32 channels of one tap

constexpr int pack_tiles(const Parameter& parameter) {
  const auto tiles = [](int size) { return (size + kPackSide - 1) / kPackSide; };
  return tiles(parameter.out) * tiles(parameter.in) * parameter.taps;
}

}  // namespace codmoe::ops::cuda
