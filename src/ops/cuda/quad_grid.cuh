// Blocks over channels-last maps: a thread holds four neighbouring channels and goes from item to item (rows, strips),
// so that what belongs to a channel stays in registers.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "quads.cuh"

namespace codmoe::ops::cuda {

constexpr int kQuadThreads = 256;  ///< of a block

/// How channels and items are shared out; channels a multiple of 4.
struct QuadGrid {
  int channels;
  int chunks;  ///< blocks beside each other
  int width;   ///< quads of channels of a block

  explicit QuadGrid(int64_t of_channels)
      : channels(static_cast<int>(of_channels)),
        chunks((channels / 4 + most_quads - 1) / most_quads),
        width((channels / 4 + chunks - 1) / chunks) {}

  /// Items that a block takes at a time.
  __host__ __device__ int rows() const { return kQuadThreads / width; }
  /// Blocks over one another: enough for the GPU, `items_of_thread` items a thread at least, `most` in all.
  int64_t blocks(int64_t items, int64_t items_of_thread, int64_t most) const {
    const int64_t needed = (items + rows() * items_of_thread - 1) / (rows() * items_of_thread);
    return std::clamp<int64_t>(needed, 1, std::max<int64_t>(1, most / chunks));
  }
  dim3 grid(int64_t blocks, int64_t layers = 1) const {
    return {static_cast<unsigned>(blocks), static_cast<unsigned>(chunks), static_cast<unsigned>(layers)};
  }

 private:
  static constexpr int most_quads = 64;
};

/// Which channels and items are a thread's.
struct QuadPlace {
  int quad;     ///< within the block
  int channel;  ///< the first of four
  int64_t item, step;
  bool idle;

  __device__ explicit QuadPlace(const QuadGrid& grid) {
    const int rows = grid.rows(), row = static_cast<int>(threadIdx.x) / grid.width;
    quad = static_cast<int>(threadIdx.x) % grid.width;
    channel = 4 * (static_cast<int>(blockIdx.y) * grid.width + quad);
    item = static_cast<int64_t>(blockIdx.x) * rows + row;
    step = static_cast<int64_t>(gridDim.x) * rows;
    idle = row >= rows || channel >= grid.channels;
  }
};

/// The block's sums of kCount values a channel, which its threads have: value i to to[i * channels + channel].
template <int kCount>
__device__ void sum_block(const QuadGrid& grid, const Quad (&values)[kCount], float* to) {
  __shared__ float shared[kQuadThreads][4];
  const int begin = static_cast<int>(blockIdx.y) * grid.width * 4;
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    __syncthreads();
#pragma unroll
    for (int c = 0; c < 4; ++c) shared[threadIdx.x][c] = values[i].at[c];
    __syncthreads();
    for (int channel = static_cast<int>(threadIdx.x); channel < grid.width * 4; channel += kQuadThreads) {
      if (begin + channel >= grid.channels) continue;
      float total = 0.0F;
      for (int r = 0; r < grid.rows(); ++r) total += shared[r * grid.width + channel / 4][channel % 4];
      to[static_cast<int64_t>(i) * grid.channels + begin + channel] = total;
    }
  }
}

}  // namespace codmoe::ops::cuda
