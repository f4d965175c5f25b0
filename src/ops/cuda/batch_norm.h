// Training-mode batch norm over the rows of a matrix, and the activation after it.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace codmoe::ops::cuda {

enum class NormActivation { none, relu, relu6, gelu };

/// Maps are [samples * area, channels], float32 or bfloat16; channels a multiple of 4.
struct BatchNorm {
  int64_t samples, area, channels;
  bool bfloat16;
  NormActivation activation;
  const void* x;
  const bool* mask;            ///< [samples]: whose rows count in the statistics; null: all
  const float *weight, *bias;  ///< [channels]
};

/// What is updated; each may be null.
struct RunningStatistics {
  float *mean, *var;  ///< [channels]
  int64_t* batches;
  float eps, momentum;
};

/// Rows of `table`: mean, 1 / deviation (0 where fewer than two rows count), and the norm as x * scale + shift.
enum BatchNormRow : int { kNormMean, kNormInverse, kNormScale, kNormShift, kNormRows };

/// How many partial sums each pass over the maps writes: float32 [parts, 2, channels], scratch.
int64_t batch_norm_parts(const BatchNorm& norm);

/// table: float32 [kNormRows, channels], written; y: like x.
cudaError_t batch_norm_forward(const BatchNorm& norm, const RunningStatistics& running, float* partial, float* table,
                               void* y, cudaStream_t stream);

/// Gradients of the backward. grad_y, grad_x: like x; grad_parameters: float32 [2, channels], of weight and bias;
/// factors: float32 [2, channels], scratch.
struct BatchNormGradients {
  const void* grad_y;
  void* grad_x;
  float *grad_parameters, *factors;
};
/// table: as the forward wrote it.
cudaError_t batch_norm_backward(const BatchNorm& norm, const float* table, const BatchNormGradients& gradients,
                                float* partial, cudaStream_t stream);

}  // namespace codmoe::ops::cuda
