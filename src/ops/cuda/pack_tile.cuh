// Copying parameters into the kernels' widths, type and order.
#pragma once

#include "elements.cuh"
#include "parameter.h"
#include "tiling.h"

namespace codmoe::ops::cuda {

/// `out` and `in` are the kernels'.
__device__ inline float parameter_at(const Parameter& parameter, int out, int in, int tap) {
  const int64_t own_out = given_index(parameter.out_groups, out), own_in = given_index(parameter.in_groups, in);
  if (own_out < 0 || own_in < 0) return 0.0F;
  const int64_t at =
      own_out * parameter.out_stride + own_in * parameter.in_stride + static_cast<int64_t>(tap) * parameter.tap_stride;
  return vector_at(parameter.value, static_cast<int>(at), parameter.bfloat16);
}

/// Which of `count` parameters a tile of the copying belongs to.
__device__ inline int parameter_of_tile(const Parameter* parameters, int count, int tile) {
  int low = 0, high = count - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (parameters[middle].first_tile <= tile) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

/// Copies 32 filters times 32 channels of one tap in both orders, through shared memory so that both are written in
/// rows. `shared` holds kPackSide * (kPackSide + 1) floats. Called by kThreads.
template <class T>
__device__ void pack_tile(const Parameter& parameter, T* weights, float* vectors, int tile, float* shared) {
  constexpr int side = kPackSide, pitch = side + 1;
  const int columns = (parameter.in + side - 1) / side, tap = tile % parameter.taps, place = tile / parameter.taps;
  const int first_in = place % columns * side, first_out = place / columns * side;
  const int lane = static_cast<int>(threadIdx.x) % side, group = static_cast<int>(threadIdx.x) / side;
  const int mirrored = parameter.taps - 1 - tap;
  if (parameter.vector) {
    const int out = first_out + lane;
    if (group > 0 || out >= parameter.out) return;
    const float value = parameter_at(parameter, out, 0, tap);
    vectors[parameter.packed + tap * parameter.out + out] = value;
    if (parameter.reversed >= 0) vectors[parameter.reversed + mirrored * parameter.out + out] = value;
    return;
  }
  constexpr int groups = kThreads / side, rows = side / groups;
  float values[rows];
#pragma unroll
  for (int i = 0; i < rows; ++i) {  // the border's again where the tile goes beyond it
    const int out = min(first_out + group + i * groups, parameter.out - 1), in = min(first_in + lane, parameter.in - 1);
    values[i] = parameter_at(parameter, out, in, tap);
  }
#pragma unroll
  for (int i = 0; i < rows; ++i) {
    const int row = group + i * groups, out = first_out + row, in = first_in + lane;
    shared[row * pitch + lane] = values[i];
    if (out < parameter.out && in < parameter.in)
      weights[parameter.packed + (out * parameter.taps + tap) * parameter.in + in] = static_cast<T>(values[i]);
  }
  if (parameter.reversed < 0) return;
  __syncthreads();
#pragma unroll
  for (int i = 0; i < rows; ++i) {
    const int row = group + i * groups, out = first_out + lane, in = first_in + row;
    if (out >= parameter.out || in >= parameter.in) continue;
    weights[parameter.reversed + (in * parameter.taps + mirrored) * parameter.out + out] =
        static_cast<T>(shared[lane * pitch + row]);
  }
}

}  // namespace codmoe::ops::cuda
