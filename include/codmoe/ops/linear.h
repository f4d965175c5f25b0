// Linear layers, with gradients of their biases that cost one read of the gradient.
#pragma once

#include <ATen/core/Tensor.h>

namespace codmoe::ops {

/// The type in which linear layers and convolutions take x: autocast's where it is on for x's device, except that of
/// float64, which it leaves.
at::ScalarType product_type(const at::Tensor& x);

/// x · weightᵀ + bias, for x [..., in], weight [out, in] and bias [out] (may be undefined): [..., out], in
/// product_type(x). On CUDA the gradients of weight and bias are summed in float32 and the same on every run.
/// @throws c10::Error from LibTorch for other shapes; on CUDA for a second derivative.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

}  // namespace codmoe::ops
