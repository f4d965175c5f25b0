// A tile's sums after its products: from several blocks, and through shared memory as rows.
#pragma once

#include "elements.cuh"
#include "tiling.h"

namespace codmoe::ops::cuda {

/// Leaves the sum over the parts of a tile in the block that finishes last, and returns whether this is the one. The
/// parts' blocks follow one another; `partials` holds kSums * kThreads floats a block, `counters` a zero a block.
/// Parts are summed in their order, so the result does not depend on which block that is.
template <int kSums>
__device__ bool sum_parts(float (&sums)[kSums], float* partials, int* counters, int part, int parts) {
  __shared__ bool last;
  const int first_block = static_cast<int>(blockIdx.x) - part;
  partials += threadIdx.x;
  int* counter = counters + first_block;
  float* own = partials + static_cast<int64_t>(blockIdx.x) * kSums * kThreads;
#pragma unroll
  for (int i = 0; i < kSums; ++i) __stcg(own + i * kThreads, sums[i]);
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(counter, 1) == parts - 1;
    if (last) *counter = 0;  // for the next kernel
  }
  __syncthreads();
  if (!last) return false;
  __threadfence();
#pragma unroll
  for (int i = 0; i < kSums; ++i) sums[i] = 0.0F;
  for (int p = 0; p < parts; ++p) {
    const float* other = partials + static_cast<int64_t>(first_block + p) * kSums * kThreads;
#pragma unroll
    for (int i = 0; i < kSums; ++i) sums[i] += __ldcg(other + i * kThreads);
  }
  return true;
}

/// Floats from one row of a tile's sums to the next, in shared memory: an odd number of eights, so that the eight rows
/// of a warp's pairs meet in no bank.
__host__ __device__ constexpr int sum_pitch(int cols) { return cols / 8 % 2 == 0 ? cols + 8 : cols; }

/// The pairs of sums that a thread holds, and their places in shared memory.
template <class Tile, int kCols, class Visit>
__device__ void visit_pairs(float* shared, Visit&& visit) {
#pragma unroll
  for (int pair = 0; pair < Tile::kSums / 2; ++pair) {
    const int col = Tile::col_of(pair);
    if (col < kCols) visit(pair, *reinterpret_cast<float2*>(shared + Tile::row_of(pair) * sum_pitch(kCols) + col));
  }
}

/// Writes sums to shared memory as rows, for the whole block.
template <class Tile, int kCols>
__device__ void store_sums(const float (&sums)[Tile::kSums], float* shared) {
  visit_pairs<Tile, kCols>(shared, [&](int pair, float2& place) { place = {sums[2 * pair], sums[2 * pair + 1]}; });
  __syncthreads();
}

/// The part of a tile's sums in shared memory that one thread goes through: a chunk of columns, every few rows. Code
/// that runs once costs its fetch from memory, so loops over it are small.
template <class T, int kCols>
struct TileColumn {
  int col, row, step;
  bool active;

  /// Of the tile's first `cols` columns.
  __device__ explicit TileColumn(int cols) {
    const int chunks = cols / kLanes<T>, thread = static_cast<int>(threadIdx.x);
    col = thread % chunks * kLanes<T>;
    row = thread / chunks;
    step = kThreads / chunks;
    active = row < step;
  }

  /// Calls visit(row, values) for each of the thread's chunks in the first `rows` rows.
  template <class Visit>
  __device__ void visit(float* shared, int rows, Visit&& use) const {
    if (!active) return;
#pragma unroll 1
    for (int r = row; r < rows; r += step)
      use(r, *reinterpret_cast<float(*)[kLanes<T>]>(shared + r * sum_pitch(kCols) + col));
  }
};

}  // namespace codmoe::ops::cuda
