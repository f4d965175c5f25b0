// Layer norm over channels, with the residual sum before it.
#pragma once

#include <ATen/core/Tensor.h>

namespace codmoe::ops {

/// Scale and shift over the last dimension.
struct LayerNormState {
  at::Tensor weight, bias;  ///< [C]
  double eps;
};

/// Both [..., C].
struct NormedSum {
  at::Tensor sum;     ///< x + branch, in x's type
  at::Tensor normed;  ///< the layer norm of sum, in the type asked for
};

/// What a block of a transformer begins with: the sum of the block before, and its layer norm, in one kernel on CUDA
/// (of float32 and bfloat16, C even and at most 1024). Statistics are in float32 at least, whatever the types.
/// @param branch  of x's shape, or undefined: then sum is x
/// @param type    of `normed`; product_type(x) where a linear layer or a convolution comes next
/// @throws c10::Error for other shapes; on CUDA for a second derivative.
/// Source: Ba et al. 2016, arXiv:1607.06450.
NormedSum add_layer_norm(const at::Tensor& x, const at::Tensor& branch, const LayerNormState& state,
                         at::ScalarType type);

}  // namespace codmoe::ops
