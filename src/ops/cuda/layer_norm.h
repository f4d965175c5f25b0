// Layer norm of a residual sum.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace codmoe::ops::cuda {

/// Rows of `channels`, even and at most 1024.
struct LayerNorm {
  int64_t rows, channels;
  bool x_bfloat16, branch_bfloat16, normed_bfloat16;  ///< else float32; `sum` is of x's type
  const float *weight, *bias;
  float eps;
};

/// sum = x + branch, normed = (sum - mean) / sqrt(var + eps) * weight + bias; statistics [rows, 2]: mean and 1 / sqrt.
/// branch may be null: the sum is x then, and not written.
struct LayerNormForward {
  const void *x, *branch;
  void *sum, *normed;
  float* statistics;
};
cudaError_t layer_norm_forward(const LayerNorm& norm, const LayerNormForward& maps, cudaStream_t stream);

/// grad_x = the gradient of sum, grad_sum's included, in x's type as those two; grad_branch the same in branch's type.
/// grad_sum and grad_branch may be null.
struct LayerNormBackward {
  const void* sum;
  const float* statistics;
  const void *grad_normed, *grad_sum;
  void *grad_x, *grad_branch;
};
/// How many partial sums layer_norm_backward() writes.
int64_t layer_norm_parts(const LayerNorm& norm);
/// partial: float32 [layer_norm_parts, 2, channels], scratch; grad_parameters [2, channels]: of weight, then bias.
cudaError_t layer_norm_backward(const LayerNorm& norm, const LayerNormBackward& maps, float* partial,
                                float* grad_parameters, cudaStream_t stream);

}  // namespace codmoe::ops::cuda
