// Gradients of matrices that multiply one vector a slot: sums over an expert's slots of outer products.
#pragma once

#include "parameters.cuh"
#include "tiling.h"

namespace codmoe::ops::cuda {

constexpr int kOuterSide = 4;  ///< a thread holds 4 rows times 4 columns

/// gradient[first_out + row][c] = sum over slots of left[slot][row] * right[slot][row / right_rows][c]; `left` and its
/// stride are aligned to 16 bytes, and rows, width and right_rows are multiples of 4.
struct Outer {
  SlotVectors left, right;
  int rows = 0, width = 0;
  int right_rows = 0;  ///< rows that share a vector of `right`; 0: all
  int first_out = 0;
};

/// Rows that one block of kThreads takes.
__host__ __device__ constexpr int outer_rows(int width) {
  const int groups = kThreads * kOuterSide / width;
  return kOuterSide * (groups > 1 ? groups : 1);
}

__host__ __device__ constexpr int outer_blocks(int rows, int width) {
  return (rows + outer_rows(width) - 1) / outer_rows(width);
}

/// Block `block` of outer_blocks(rows, width). No workspace.
__device__ inline void run_outer_gradient(const Parameter& parameter, const Outer& outer, const SlotList& list,
                                          int block) {
  constexpr int side = kOuterSide;
  const int first = block * outer_rows(outer.width), rows = min(outer_rows(outer.width), outer.rows - first);
  const int quarter = outer.width / side;  // columns of a thread are so far apart that a warp's are neighbours
  for (int i = static_cast<int>(threadIdx.x); i < rows / side * quarter; i += static_cast<int>(blockDim.x)) {
    const int row = first + i / quarter * side, c = i % quarter;
    const int right_row = outer.right_rows > 0 ? row / outer.right_rows : 0;
    float sums[side][side] = {};
#pragma unroll 4
    for (int k = 0; k < list.count; ++k) {
      const float4 left = *reinterpret_cast<const float4*>(outer.left.of(list.slots[k]) + row);
      const float* right = outer.right.of(list.slots[k]) + right_row * outer.width + c;
#pragma unroll
      for (int col = 0; col < side; ++col) {
        const float value = right[col * quarter];
        sums[0][col] += left.x * value;
        sums[1][col] += left.y * value;
        sums[2][col] += left.z * value;
        sums[3][col] += left.w * value;
      }
    }
#pragma unroll
    for (int r = 0; r < side; ++r) {
#pragma unroll
      for (int col = 0; col < side; ++col)
        store_gradient(parameter, outer.first_out + row + r, c + col * quarter, 0, sums[r][col]);
    }
  }
}

/// The rows of a vector's gradient that belong to the same block.
__device__ inline void run_outer_bias(const Parameter& parameter, const Outer& outer, const SlotVectors& left,
                                      const SlotList& list, int block) {
  const int first = block * outer_rows(outer.width);
  run_vector_gradient(parameter, left, list, first, min(outer_rows(outer.width), outer.rows - first), outer.first_out);
}

}  // namespace codmoe::ops::cuda
