// gelu(depthwise 3x3 convolution of (x + x_bias), + bias) over channels-last maps.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace codmoe::ops::cuda {

/// Maps [batch, height, width, channels], float32 or bfloat16; channels a multiple of 8; aligned to 16 bytes. Zeros
/// stand around the map after x_bias is added.
struct DepthwiseGelu {
  int64_t batch, height, width, channels;
  bool bfloat16;
  const void* x;
  const float *x_bias, *bias;  ///< [channels]
  const float* weight;         ///< [channels, 3, 3]
};

/// slope: GELU's derivative at the convolution's results, for the backward, of y's type; may be null.
cudaError_t depthwise_gelu_forward(const DepthwiseGelu& conv, void* y, void* slope, cudaStream_t stream);

/// Rows of grad_parameters: those of weight as [9, channels], then of bias and x_bias.
constexpr int kDepthwiseSums = 11;
/// How many partial sums depthwise_gelu_backward() writes.
int64_t depthwise_gelu_parts(const DepthwiseGelu& conv);
/// Like x, all.
struct DepthwiseBackward {
  const void *grad_y, *slope;
  void* grad_x;
};
/// partial: float32 [depthwise_gelu_parts, 11, channels], scratch; grad_parameters [11, channels].
cudaError_t depthwise_gelu_backward(const DepthwiseGelu& conv, const DepthwiseBackward& maps, float* partial,
                                    float* grad_parameters, cudaStream_t stream);

}  // namespace codmoe::ops::cuda
