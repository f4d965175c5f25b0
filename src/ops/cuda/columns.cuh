// What happens to the columns of a tile after its sums: norm or bias, GELU and gate, kept in shared memory so that
// their loads overlap the tile's first copies.
#pragma once

#include "elements.cuh"

namespace codmoe::ops::cuda {

template <int kCols>
struct Columns {
  alignas(16) float scale[kCols], shift[kCols], gate[kCols];
  bool gelu;

  /// Called by the whole block; a barrier must follow before use. `gates` holds a value a channel, or is null.
  __device__ void load(const Epilogue& epilogue, int first_channel, int count, const float* gates, bool bfloat16) {
    for (int col = static_cast<int>(threadIdx.x); col < count; col += static_cast<int>(blockDim.x)) {
      const Affine affine = affine_at(epilogue, first_channel + col, bfloat16);
      scale[col] = affine.scale;
      shift[col] = affine.shift;
      gate[col] = gates != nullptr ? gates[first_channel + col] : 1.0F;
    }
    if (threadIdx.x == 0) gelu = epilogue.gelu;
  }
};

/// The columns of one chunk, in registers.
template <class T>
struct ChunkColumns {
  alignas(16) float scale[kLanes<T>], shift[kLanes<T>], gate[kLanes<T>];
  bool gelu;

  template <int kCols>
  __device__ ChunkColumns(const Columns<kCols>& columns, int col) : gelu(columns.gelu) {
#pragma unroll
    for (int i = 0; i < kLanes<T>; i += 4) {
      copy_four(scale + i, columns.scale + col + i);
      copy_four(shift + i, columns.shift + col + i);
      copy_four(gate + i, columns.gate + col + i);
    }
  }

  __device__ void apply(float (&values)[kLanes<T>]) const {
#pragma unroll
    for (int i = 0; i < kLanes<T>; ++i) {
      const float value = scale[i] * values[i] + shift[i];
      values[i] = (gelu ? cuda::gelu(value) : value) * gate[i];
    }
  }
};

}  // namespace codmoe::ops::cuda
