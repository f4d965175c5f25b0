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

/// Floats from one row of a tile's sums to the next, in shared memory.
__host__ __device__ constexpr int sum_pitch(int cols) { return cols + 4; }

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

/// Calls visit(row, col, values) for each chunk of a tile's `rows` x `cols` in shared memory. One small loop: code that
/// runs once costs its fetch from memory, which for unrolled GELUs takes longer than their run.
template <class T, int kCols, class Visit>
__device__ void visit_chunks(float* shared, int rows, int cols, Visit&& visit) {
  const int row_chunks = cols / kLanes<T>;
#pragma unroll 1
  for (int item = static_cast<int>(threadIdx.x); item < rows * row_chunks; item += kThreads) {
    const int row = item / row_chunks, col = item % row_chunks * kLanes<T>;
    visit(row, col, *reinterpret_cast<float(*)[kLanes<T>]>(shared + row * sum_pitch(kCols) + col));
  }
}

}  // namespace codmoe::ops::cuda
