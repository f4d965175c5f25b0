// The backward of a gate, for one slot.
#pragma once

#include "vectors.cuh"

namespace codmoe::ops::cuda {

/// A gate's parameters as packed: weights in the element type, biases as float.
template <class T>
struct GateWeights {
  const T* reduce = nullptr;  ///< [hidden, C]
  const T* expand = nullptr;  ///< [C, hidden]
  const float* reduce_bias = nullptr;
  int hidden = 0;
};

/// Of one slot.
struct GateVectors {
  const float* mean = nullptr;           ///< [C], of x over the image's positions
  const float* gate = nullptr;           ///< [C], the forward's
  const float* gate_gradient = nullptr;  ///< [C]
  float* hidden = nullptr;               ///< [hidden], after GELU
  float* expand_gradient = nullptr;      ///< [C], of expand's result
  float* reduce_gradient = nullptr;      ///< [hidden], of reduce's result
  float* mean_gradient = nullptr;        ///< [C]
};

/// Gradients of the results of both layers, and of the mean of x. expand's weights get expand_gradient (x) hidden,
/// reduce's reduce_gradient (x) mean. `shared` holds 2 * (C + hidden) + blockDim * kLanes floats.
template <class T>
__device__ void run_gate_gradient(const GateWeights<T>& weights, const GateVectors& vectors, int channels,
                                  float* shared) {
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  float *mean = shared, *expand = mean + channels, *slope = expand + channels, *reduce = slope + weights.hidden;
  float* parts = reduce + weights.hidden;
  for (int c = thread; c < channels; c += threads) {
    const float gate = vectors.gate[c];
    mean[c] = vectors.mean[c];
    expand[c] = vectors.gate_gradient[c] * gate * (1.0F - gate);
    vectors.expand_gradient[c] = expand[c];
  }
  __syncthreads();
  warp_rows(weights.reduce, channels, weights.hidden, mean, [&](int row, float dot) {
    const float value = dot + weights.reduce_bias[row];
    vectors.hidden[row] = gelu(value);
    slope[row] = gelu_gradient(value);
  });
  // Its barrier also orders the slopes before their use.
  weigh_rows(weights.expand, weights.hidden, channels, expand, parts, [&](int row, float total) {
    reduce[row] = total * slope[row];
    vectors.reduce_gradient[row] = reduce[row];
  });
  __syncthreads();
  weigh_rows(weights.reduce, channels, weights.hidden, reduce, parts,
             [&](int c, float total) { vectors.mean_gradient[c] = total; });
}

}  // namespace codmoe::ops::cuda
