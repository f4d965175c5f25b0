// 1 + weight * |window mean - mask| of each pixel.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace codmoe::ops::cuda {

constexpr int kMaxWindow = 65;  ///< its border must fit a tile's shared memory

struct PixelWeights {
  int64_t images;
  int height, width;
  int half;  ///< of the window, which is 2 * half + 1
  float weight;
};

/// mask and result [images, height, width]. What lies beyond the border is 0.
cudaError_t pixel_weights(const PixelWeights& maps, const float* mask, float* result, cudaStream_t stream);

}  // namespace codmoe::ops::cuda
