// Three spatial frequency bands by box filters.
#pragma once

#include <ATen/core/Tensor.h>

namespace codmoe::ops {

/// Three maps [B, C, H, W] of the input's dtype; low + high = x.
struct Bands {
  at::Tensor low;   ///< avgpool3(x)
  at::Tensor mid;   ///< avgpool3(x) - avgpool5(x)
  at::Tensor high;  ///< x - avgpool3(x)
};

/// Splits x [B, C, H, W] (floating point) into bands of its own shape and dtype. Stride 1, zero padding counted in the
/// averages; avgpool3 is computed once. Differentiable. Source: the frequency expert of the guide, without its double
/// pooling. @throws c10::Error for another shape or dtype.
Bands band_split(const at::Tensor& x_bchw);

}  // namespace codmoe::ops
