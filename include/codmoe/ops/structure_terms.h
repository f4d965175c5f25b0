// The two terms of the structure loss for one map of logits.
#pragma once

#include <ATen/core/Tensor.h>

namespace codmoe::ops {

/// Mean over images of bce + 1 - (I + 1) / (U - I + 1), with p = sigmoid(logits), I = sum(w * p * m) and
/// U = sum(w * (p + m)) over an image, and bce = sum(w * cross-entropy) / sum(w), or the plain mean of the
/// cross-entropy without `weighted_bce`. All [B, 1, H, W] of one floating dtype; gradients reach the logits alone. In
/// float32 on CUDA two kernels forward and one backward, the same bits on every run.
/// @throws c10::Error where shapes or dtypes differ; on CUDA for a second derivative.
/// Source: F3Net (Wei et al. 2020).
at::Tensor structure_terms(const at::Tensor& logits_b1hw, const at::Tensor& mask_b1hw, const at::Tensor& weight_b1hw,
                           bool weighted_bce);

}  // namespace codmoe::ops
