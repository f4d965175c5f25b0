// How the kernels divide their work: what host and device must agree on.
#pragma once

#include <cuda_runtime_api.h>

#include "fused_moe.h"

namespace codmoe::ops::cuda {

constexpr int kThreads = 256;     ///< a block of the experts' kernels
constexpr int kTileRows = 128;    ///< positions of one tile of a convolution
constexpr int kStageBytes = 128;  ///< of the inner dimension, copied and multiplied at a time
constexpr int kStrip = 2;         ///< rows that one thread of a stencil computes, so that a row of loads serves several
constexpr int kPoolSplits = 16;   ///< blocks that share one image's mean

constexpr int kDepthwiseTaps = 25;  ///< of the largest depthwise kernel, 5x5
constexpr int kBandRows = 6;        ///< of an image, summed by one thread for a depthwise weight gradient

__host__ __device__ constexpr int element_bytes(Math math) { return math == Math::bfloat16 ? 2 : 4; }

/// Positions that one block of attention takes, of elements of this size.
__host__ __device__ constexpr int attention_positions(int bytes) { return 128 / bytes; }

}  // namespace codmoe::ops::cuda
