// How much each pixel of a mask counts in the structure loss.
#pragma once

#include <ATen/core/Tensor.h>

namespace codmoe::ops {

/// 1 + weight * |mean of the mask over a window - mask|: pixels near edges count more. mask [B, 1, H, W] of a floating
/// dtype, `window` odd, zeros beyond the border counted. Without gradients. In float32 on CUDA one kernel, the same
/// bits on every run. @throws c10::Error for another shape or an even window. Source: F3Net (Wei et al. 2020).
at::Tensor pixel_weights(const at::Tensor& mask_b1hw, int64_t window, double weight);

}  // namespace codmoe::ops
