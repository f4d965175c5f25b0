// The middle of a feed-forward layer with a depthwise convolution, as PVTv2 has it.
#pragma once

#include <ATen/core/Tensor.h>

namespace codmoe::ops {

/// Of a depthwise 3x3 convolution, zeros around the map.
struct DepthwiseState {
  at::Tensor weight;  ///< [C, 1, 3, 3]
  at::Tensor bias;    ///< [C]
};

/// gelu(conv(x + x_bias) + bias) for x [B, H, W, C] and x_bias [C] (the bias of the linear layer before, whose gradient
/// is summed on the way): the shape of x, in product_type(x). On CUDA (float32 and bfloat16, C a multiple of 8) one
/// kernel forward and two backward, for which x and the activation's slope are kept; sums are in float32 and the same
/// on every run.
/// @throws c10::Error for other shapes; on CUDA for a second derivative.
/// Source: Wang et al. 2022, arXiv:2106.13797, section 3.2; exact GELU.
at::Tensor depthwise_gelu(const at::Tensor& x_bhwc, const at::Tensor& x_bias_c, const DepthwiseState& state);

}  // namespace codmoe::ops
