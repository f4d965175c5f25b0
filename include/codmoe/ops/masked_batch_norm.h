// Batch normalisation whose training statistics come from some of the samples alone.
#pragma once

#include <ATen/core/Tensor.h>

namespace codmoe::ops {

/// The tensors of one batch norm, each [C]; running statistics are updated in place while training.
struct BatchNormState {
  at::Tensor weight, bias, running_mean, running_var;
  double eps = 1e-5;
  double momentum = 0.1;
};

/// Training-mode batch norm of x [B, C, H, W]. Mean and variance are taken over the samples where `mask` [B] (bool) is
/// true; the others are normalised with the same statistics, so that they carry no weight. With one value a channel or
/// none, the output is the bias and the running statistics stay as they are. Never synchronises with the host.
/// Statistics are float32 at least; the result has x's shape and dtype; differentiable in x, weight and bias. Source:
/// Ioffe and Szegedy 2015 as in PyTorch (the running variance is the unbiased one), over a part of the batch.
/// @throws c10::Error where x or the mask have another shape, or the mask another dtype.
at::Tensor masked_batch_norm(const at::Tensor& x_bchw, const at::Tensor& mask_b, const BatchNormState& state);

}  // namespace codmoe::ops
