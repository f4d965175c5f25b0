// The gradient of a bias by one read of the gradient behind it.
#pragma once

#include <ATen/core/Tensor.h>

namespace codmoe::ops {

/// The sum over rows of grad [rows, columns], dense on CUDA, float32 or bfloat16, columns even: float32 [columns], the
/// same bits on every run.
at::Tensor bias_gradient(const at::Tensor& grad_nc);

}  // namespace codmoe::ops
