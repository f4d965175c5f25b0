// Batch normalisation in training and the activation after it; the statistics may come from some of the samples alone.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace codmoe::ops {

enum class Activation : int64_t { none, relu, relu6, gelu };

/// May work in place, where x is nobody else's and nothing needs it for a gradient.
at::Tensor activate_(at::Tensor x, Activation activation);

/// The tensors of one batch norm, each [C] but `batches`, an int64 scalar; the last three are updated in place, and may
/// be undefined.
struct BatchNormState {
  at::Tensor weight, bias, running_mean, running_var, batches = {};
  double eps = 1e-5;
  double momentum = 0.1;
};

/// Batch norm of x [B, C, H, W] in evaluation: by the running statistics.
at::Tensor batch_norm(const at::Tensor& x_bchw, const BatchNormState& state);

/// activation(batch norm of x [B, C, H, W]) in training. Mean and variance are taken over the samples where `mask` [B]
/// (bool) is true, or all without one; the others are normalised with the same statistics, so that they carry no
/// weight. With one value a channel or none, the norm's result is the bias and the running statistics stay as they are.
/// Within dist::SharedStatistics of norms they are taken over the samples of all ranks. Never synchronises with the host.
/// Statistics are float32 at least; the result has x's shape and dtype;
/// differentiable in x, weight and bias. Source: Ioffe and Szegedy 2015 as in PyTorch (the running variance is the
/// unbiased one), over a part of the batch.
///
/// On CUDA, of channels-last float32 or bfloat16 with a multiple of 4 channels: own kernels, in which x is read twice
/// and the result written once, and nothing but x is kept for the backward.
/// @throws c10::Error where x or the mask have another shape, or the mask another dtype.
at::Tensor batch_norm_act(const at::Tensor& x_bchw, const std::optional<at::Tensor>& mask_b,
                          const BatchNormState& state, Activation activation);

}  // namespace codmoe::ops
