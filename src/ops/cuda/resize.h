// The gradient of bilinear resizing, gathered.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace codmoe::ops::cuda {

/// One axis of a map seen as [outer, axis, inner] was resized from `from` to `to` positions, corners not aligned.
struct ResizedAxis {
  int64_t outer, from, to, inner;
  float scale;  ///< positions of the input an output's step is: from / to
  bool bfloat16;
};

/// grad [outer, to, inner] -> grad_x [outer, from, inner], of one type.
cudaError_t resize_axis_backward(const ResizedAxis& axis, const void* grad, void* grad_x, cudaStream_t stream);

}  // namespace codmoe::ops::cuda
