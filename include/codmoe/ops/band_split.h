// Three spatial frequency bands by box filters.
#pragma once

#include <ATen/core/Tensor.h>

namespace codmoe::ops {

struct Bands {
  at::Tensor low;   ///< avgpool3(x)
  at::Tensor mid;   ///< avgpool3(x) - avgpool5(x)
  at::Tensor high;  ///< x - avgpool3(x)
};

/// Splits x [B, C, H, W] (floating point) into bands of its own shape and dtype. Stride 1, zero padding counted in the
/// averages; avgpool3 is computed once. Source: the frequency expert of the guide, without its double pooling.
Bands band_split(const at::Tensor& x_bchw);

}  // namespace codmoe::ops
