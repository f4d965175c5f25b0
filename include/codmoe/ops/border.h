// Zeros around a map.
#pragma once

#include <ATen/core/Tensor.h>

namespace codmoe::ops {

/// Rows and columns of zeros.
struct Border {
  int64_t top, bottom, left, right;
};

/// Convolution by LibTorch of x [B, C, H, W] with a border, which need not be the same on opposite sides; then, and
/// then alone, x is copied.
at::Tensor convolve_with_border(const at::Tensor& x_bchw, const at::Tensor& weight, const at::Tensor& bias,
                                at::IntArrayRef stride, const Border& border, at::IntArrayRef dilation, int64_t groups);

}  // namespace codmoe::ops
