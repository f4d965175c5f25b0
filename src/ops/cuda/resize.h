// Bilinear resizing of channels-last maps, and its gradient, gathered.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace codmoe::ops::cuda {

/// Maps [batch, height, width, channels], corners not aligned.
struct ResizedMap {
  int batch, channels;
  int height, width, to_height, to_width;
  float scale_height, scale_width;  ///< positions of the input an output's step is
  bool bfloat16;
};

/// Whether resize_forward can make it: channels in chunks of 16 bytes, positions that 32 bits count.
bool resize_takes(const ResizedMap& map);

/// y = resized x, plus `onto` where it is not null; all of one type, aligned to 16 bytes.
cudaError_t resize_forward(const ResizedMap& map, const void* x, const void* onto, void* y, cudaStream_t stream);

/// One axis of a map seen as [outer, axis, inner] was resized from `from` to `to` positions, corners not aligned.
struct ResizedAxis {
  int64_t outer, from, to, inner;
  float scale;  ///< positions of the input an output's step is: from / to
  bool bfloat16;
};

/// grad [outer, to, inner] -> grad_x [outer, from, inner], of one type; aligned to 16 bytes.
cudaError_t resize_axis_backward(const ResizedAxis& axis, const void* grad, void* grad_x, cudaStream_t stream);

}  // namespace codmoe::ops::cuda
