#include "pixel_weights.h"

namespace codmoe::ops::cuda {

namespace {

constexpr int kTile = 32;  ///< pixels of a block's side
constexpr int kThreads = 256;
constexpr int kSharedBytesOfAll = 48 << 10;  ///< that every GPU gives a block unasked
constexpr int kRun = 8;                      ///< neighbouring sums of one thread, each from the one before

/// to[i * step] = sum of from[(i + k) * step] over the window, for kRun neighbours.
__device__ inline void slide(const float* from, float* to, int step, int window) {
  float sum = 0.0F;
  for (int k = 0; k < window; ++k) sum += from[k * step];
  to[0] = sum;
#pragma unroll
  for (int i = 1; i < kRun; ++i) {
    sum += from[(i + window - 1) * step] - from[(i - 1) * step];
    to[i * step] = sum;
  }
}

/// Grid (tiles of a row, tiles of a column, images).
__global__ void __launch_bounds__(kThreads) weights_kernel(const PixelWeights maps, const float* mask, float* result) {
  extern __shared__ float shared[];
  const int window = 2 * maps.half + 1, side = kTile + 2 * maps.half, pitch = side | 1;  // odd: no bank conflicts
  float* tile = shared;                                                                  // [side, pitch], the mask
  float* columns = shared + side * pitch;  // [kTile, pitch], sums over the rows of a window
  float* sums = columns + kTile * pitch;   // [kTile, kTile + 1]
  const int64_t image = static_cast<int64_t>(blockIdx.z) * maps.height * maps.width;
  const int first_x = static_cast<int>(blockIdx.x) * kTile - maps.half;
  const int first_y = static_cast<int>(blockIdx.y) * kTile - maps.half;
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < side * side; i += kThreads) {
    const int row = i / side, column = i - row * side, y = first_y + row, x = first_x + column;
    const bool inside = y >= 0 && y < maps.height && x >= 0 && x < maps.width;
    tile[row * pitch + column] = inside ? mask[image + static_cast<int64_t>(y) * maps.width + x] : 0.0F;
  }
  __syncthreads();
  for (int i = thread; i < side * (kTile / kRun); i += kThreads) {
    const int column = i % side, row = i / side * kRun;
    slide(tile + row * pitch + column, columns + row * pitch + column, pitch, window);
  }
  __syncthreads();
  for (int i = thread; i < kTile * (kTile / kRun); i += kThreads) {
    const int row = i % kTile, column = i / kTile * kRun;
    float run[kRun];
    slide(columns + row * pitch + column, run, 1, window);
#pragma unroll
    for (int c = 0; c < kRun; ++c) sums[row * (kTile + 1) + column + c] = run[c];
  }
  __syncthreads();
  const float share = 1.0F / static_cast<float>(window * window);
  for (int i = thread; i < kTile * kTile; i += kThreads) {
    const int row = i / kTile, column = i % kTile, y = first_y + maps.half + row, x = first_x + maps.half + column;
    if (y >= maps.height || x >= maps.width) continue;
    const float own = tile[(row + maps.half) * pitch + column + maps.half];
    result[image + static_cast<int64_t>(y) * maps.width + x] =
        1.0F + maps.weight * fabsf(sums[row * (kTile + 1) + column] * share - own);
  }
}

int shared_bytes(int half) {
  const int side = kTile + 2 * half, pitch = side | 1;
  return (side * pitch + kTile * pitch + kTile * (kTile + 1)) * static_cast<int>(sizeof(float));
}

}  // namespace

cudaError_t pixel_weights(const PixelWeights& maps, const float* mask, float* result, cudaStream_t stream) {
  const auto tiles = [](int size) { return static_cast<unsigned>((size + kTile - 1) / kTile); };
  const int bytes = shared_bytes(maps.half);
  if (bytes > kSharedBytesOfAll) {
    const auto error = cudaFuncSetAttribute(weights_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    if (error != cudaSuccess) return error;
  }
  const dim3 grid(tiles(maps.width), tiles(maps.height), static_cast<unsigned>(maps.images));
  weights_kernel<<<grid, kThreads, static_cast<std::size_t>(bytes), stream>>>(maps, mask, result);
  return cudaGetLastError();
}

}  // namespace codmoe::ops::cuda
