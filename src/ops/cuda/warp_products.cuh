// A tile's products by mma.sync: eight warps share 128 rows times kCols columns as four by two.
#pragma once

#include "mma.cuh"

namespace codmoe::ops::cuda {

template <Math kMath, int kCols>
class WarpProducts {
 public:
  static constexpr int kColTiles = (kCols / 8 + 1) / 2;  ///< 8 columns each, of one warp: half of the tile's
  static constexpr int kSums = 2 * kColTiles * 4;        ///< of a thread

  /// Row and first of two columns of the sums 2 * pair and 2 * pair + 1. Columns may lie beyond kCols.
  __device__ static int row_of(int pair) {
    return warp() % 4 * 32 + pair / (2 * kColTiles) * 16 + pair % 2 * 8 + static_cast<int>(threadIdx.x % 32) / 4;
  }
  __device__ static int col_of(int pair) {
    return first_col() + pair / 2 % kColTiles * 8 + static_cast<int>(threadIdx.x % 4) * 2;
  }

  /// Makes copied chunks visible to `add`; a barrier must follow.
  __device__ static void publish_copies() {}

  /// Adds one stage, of which `left` chunks are in the sum; the others hold zeros. A step's fragments load during the
  /// products of the one before.
  __device__ void add(uint32_t rows, uint32_t filters, int left, float (&sum)[kSums]) {
    if constexpr (kMath == Math::float32) {
      // Tensor cores cut sums off instead of rounding them, which shows after thousands of terms.
      float stage[kSums] = {};
      add_stage(rows, filters, left, stage);
#pragma unroll
      for (int i = 0; i < kSums; ++i) sum[i] += stage[i];
    } else {
      add_stage(rows, filters, left, sum);
    }
  }

  /// Until here the sums and the stages added may be in use.
  __device__ static void settle(float (&)[kSums]) {}

 private:
  __device__ static void add_stage(uint32_t rows, uint32_t filters, int left, float (&sum)[kSums]) {
    Fragments fragments[2];
    load(fragments[0], rows, filters, 0);
#pragma unroll
    for (int step = 0; step < kRowChunks / 2; ++step) {
      if (2 * step >= left) break;
      if (step + 1 < kRowChunks / 2) load(fragments[(step + 1) % 2], rows, filters, step + 1);
      add(fragments[step % 2], sum);
    }
  }

  /// What one warp multiplies in one step of two chunks.
  struct Fragments {
    uint32_t a[2][4];
    uint32_t b[(kColTiles + 1) / 2][4];
  };

  __device__ static int warp() { return static_cast<int>(threadIdx.x) / 32; }
  __device__ static int first_col() { return warp() / 4 * kColTiles * 8; }

  __device__ static void load(Fragments& fragments, uint32_t rows, uint32_t filters, int step) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int i = 0; i < 2; ++i)
      load_matrices(fragments.a[i], rows + swizzled(warp() % 4 * 32 + i * 16 + lane % 16, 2 * step + lane / 16));
#pragma unroll
    for (int j = 0; j < (kColTiles + 1) / 2; ++j) {
      const int filter = min(first_col() + j * 16 + lane / 16 * 8 + lane % 8, kCols - 1);
      load_matrices(fragments.b[j], filters + swizzled(filter, 2 * step + lane / 8 % 2));
    }
  }

  __device__ static void add(const Fragments& fragments, float (&sum)[kSums]) {
#pragma unroll
    for (int j = 0; j < kColTiles; ++j) {
      const uint32_t b[2] = {fragments.b[j / 2][j % 2 * 2], fragments.b[j / 2][j % 2 * 2 + 1]};
#pragma unroll
      for (int i = 0; i < 2; ++i) Product<kMath>::add(&sum[(i * kColTiles + j) * 4], fragments.a[i], b);
    }
  }
};

}  // namespace codmoe::ops::cuda
