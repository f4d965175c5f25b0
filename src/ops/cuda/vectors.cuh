// Products of a matrix with one vector an image.
#pragma once

#include "elements.cuh"

namespace codmoe::ops::cuda {

/// Calls use(row, dot) in one lane for each of `rows` rows of C elements: its dot product with floats in shared memory.
/// Each warp takes four rows at a time, so that their loads overlap.
template <class T, class Use>
__device__ void warp_rows(const T* matrix, int channels, int rows, const float* vector, Use&& use) {
  constexpr int n = kLanes<T>, together = 4;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32, warps = static_cast<int>(blockDim.x) / 32;
  for (int first = warp * together; first < rows; first += warps * together) {
    float dots[together] = {};
    for (int c = lane * n; c < channels; c += 32 * n) {
      float values[together][n];
#pragma unroll
      for (int r = 0; r < together; ++r)
        load_chunk(matrix + static_cast<int64_t>(min(first + r, rows - 1)) * channels + c, values[r]);
#pragma unroll
      for (int r = 0; r < together; ++r) {
#pragma unroll
        for (int i = 0; i < n; ++i) dots[r] += values[r][i] * vector[c + i];
      }
    }
#pragma unroll
    for (int r = 0; r < together; ++r) {
      const float dot = sum_over_warp(dots[r]);
      if (lane == 0 && first + r < rows) use(first + r, dot);
    }
  }
}

/// The same, a thread a row: for short rows, or few of them.
template <class T>
__device__ float thread_row(const T* row, int channels, const float* vector) {
  constexpr int n = kLanes<T>;
  float dot = 0.0F;
#pragma unroll 8
  for (int c = 0; c < channels; c += n) {
    float values[n];
    load_chunk(row + c, values);
#pragma unroll
    for (int i = 0; i < n; ++i) dot += values[i] * vector[c + i];
  }
  return dot;
}

/// Calls use(c, sum over rows of weights[row] * matrix[row][c]) once for each of `channels` columns, with the weights
/// in shared memory. `parts` holds blockDim * kLanes floats; a barrier must follow before they are used again.
template <class T, class Use>
__device__ void weigh_rows(const T* matrix, int channels, int rows, const float* weights, float* parts, Use&& use) {
  constexpr int n = kLanes<T>;
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  const int chunks = channels / n, groups = threads / chunks;
  const int group = thread / chunks, chunk = thread % chunks;
  if (group < groups) {
    float total[n] = {}, values[n];
#pragma unroll 8
    for (int row = group; row < rows; row += groups) {
      load_chunk(matrix + static_cast<int64_t>(row) * channels + chunk * n, values);
#pragma unroll
      for (int i = 0; i < n; ++i) total[i] += weights[row] * values[i];
    }
#pragma unroll
    for (int i = 0; i < n; ++i) parts[group * channels + chunk * n + i] = total[i];
  }
  __syncthreads();
  for (int c = thread; c < channels; c += threads) {
    float total = 0.0F;
    for (int g = 0; g < groups; ++g) total += parts[g * channels + c];
    use(c, total);
  }
}

/// gate = sigmoid(expand . GELU(reduce . mean + bias) + bias). `shared` holds 2 * C floats.
template <class T>
__device__ void run_gate(const Gate& gate, bool bfloat16_vectors, int channels, const float* mean, float* result,
                         float* shared) {
  float* hidden = shared + channels;
  for (int c = static_cast<int>(threadIdx.x); c < channels; c += static_cast<int>(blockDim.x)) shared[c] = mean[c];
  __syncthreads();
  warp_rows(static_cast<const T*>(gate.reduce), channels, gate.hidden, shared,
            [&](int row, float dot) { hidden[row] = gelu(dot + vector_at(gate.reduce_bias, row, bfloat16_vectors)); });
  __syncthreads();
  for (int row = static_cast<int>(threadIdx.x); row < channels; row += static_cast<int>(blockDim.x)) {
    const T* weights = static_cast<const T*>(gate.expand) + static_cast<int64_t>(row) * gate.hidden;
    const float value = thread_row(weights, gate.hidden, hidden) + vector_at(gate.expand_bias, row, bfloat16_vectors);
    result[row] = 1.0F / (1.0F + expf(-value));
  }
}

}  // namespace codmoe::ops::cuda
