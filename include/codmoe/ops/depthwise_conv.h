// Depthwise convolution with any zeros around the map.
#pragma once

#include <ATen/core/Tensor.h>

#include "codmoe/ops/border.h"

namespace codmoe::ops {

/// Every channel of x [B, C, H, W] by its own filter of weight [C, 1, K, K]; no bias. The result is in product_type(x).
///
/// On CUDA, of channels-last float32 or bfloat16 with a multiple of 8 channels, K 3 or 5 and stride 1 or 2: own
/// kernels, that need no copy of x with its border, and whose gradients are the same on every run.
/// @throws c10::Error where the weight has another shape or lies on another device; on CUDA for a second derivative.
at::Tensor depthwise_conv(const at::Tensor& x_bchw, const at::Tensor& weight, int64_t stride, const Border& border);

}  // namespace codmoe::ops
