// Depthwise convolution over channels-last maps.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace codmoe::ops::cuda {

/// x [batch, height, width, channels] -> y [batch, out_height, out_width, channels], float32 or bfloat16; channels a
/// multiple of 8; aligned to 16 bytes. Zeros stand around x: `top` rows above, `left` columns before.
struct DepthwiseConv {
  int64_t batch, height, width, out_height, out_width, channels;
  int kernel;  ///< 3 or 5
  int stride;  ///< 1 or 2
  int top, left;
  bool bfloat16;
  const float* weight;  ///< [channels, kernel, kernel]
};

cudaError_t depthwise_conv_forward(const DepthwiseConv& conv, const void* x, void* y, cudaStream_t stream);
cudaError_t depthwise_conv_input_gradient(const DepthwiseConv& conv, const void* grad_y, void* grad_x,
                                          cudaStream_t stream);

/// How many partial sums depthwise_conv_weight_gradient() writes.
int64_t depthwise_conv_parts(const DepthwiseConv& conv);
/// partial: float32 [depthwise_conv_parts, kernel * kernel, channels], scratch; grad_weight: float32
/// [kernel * kernel, channels]. The same bits each time.
cudaError_t depthwise_conv_weight_gradient(const DepthwiseConv& conv, const void* x, const void* grad_y, float* partial,
                                           float* grad_weight, cudaStream_t stream);

}  // namespace codmoe::ops::cuda
