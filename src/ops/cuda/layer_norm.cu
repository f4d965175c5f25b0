// One warp a row: a lane holds pairs of channels, 64 apart.
#include <algorithm>
#include <type_traits>

#include "column_sums.h"
#include "lanes.cuh"
#include "layer_norm.h"
#include "pairs.cuh"
#include "previous_kernel.cuh"
#include "warp.cuh"

namespace codmoe::ops::cuda {

namespace {

constexpr int kWarps = 8;
constexpr int kMaxChannels = 1024;
constexpr int64_t kParts = 528;  ///< blocks of the backward: four a multiprocessor of the H100

__device__ int channel_of(int pair) { return 2 * (lane_of() + 32 * pair); }

template <class X, class Branch, class Normed, int kPairs>
__global__ void __launch_bounds__(32 * kWarps) forward_kernel(const LayerNorm norm, const LayerNormForward maps) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kWarps + warp_of();
  if (row >= norm.rows) return;
  const int channels = static_cast<int>(norm.channels);
  const int64_t at = row * channels;
  float2 values[kPairs];
  float total = 0.0F;
#pragma unroll
  for (int i = 0; i < kPairs; ++i) {
    const int c = channel_of(i);
    values[i] = {0.0F, 0.0F};
    if (c >= channels) continue;
    values[i] = load_pair(static_cast<const X*>(maps.x) + at + c);
    if (maps.branch != nullptr) {
      values[i] += load_pair(static_cast<const Branch*>(maps.branch) + at + c);
      store_pair(static_cast<X*>(maps.sum) + at + c, values[i]);
    }
    total += values[i].x + values[i].y;
  }
  const float mean = sum_over_warp(total) / static_cast<float>(channels);
  float squares = 0.0F;
#pragma unroll
  for (int i = 0; i < kPairs; ++i) {
    if (channel_of(i) >= channels) continue;
    values[i] = values[i] - float2{mean, mean};
    squares += values[i].x * values[i].x + values[i].y * values[i].y;
  }
  const float scale = rsqrtf(sum_over_warp(squares) / static_cast<float>(channels) + norm.eps);
  if (lane_of() == 0) store_pair(maps.statistics + 2 * row, {mean, scale});
#pragma unroll
  for (int i = 0; i < kPairs; ++i) {
    const int c = channel_of(i);
    if (c >= channels) continue;
    auto* normed = static_cast<Normed*>(maps.normed) + at + c;
    store_pair(normed, (scale * values[i]) * load_pair(norm.weight + c) + load_pair(norm.bias + c));
  }
}

/// Adds what the warps of a block have for each channel, and writes it as the block's partial sum.
template <int kPairs>
__device__ void write_partial(const float2 (&sums)[kPairs], float* to, int channels,
                              float2 (*shared)[kMaxChannels / 2]) {
  __syncthreads();
#pragma unroll
  for (int i = 0; i < kPairs; ++i) shared[warp_of()][lane_of() + 32 * i] = sums[i];
  __syncthreads();
  for (int pair = static_cast<int>(threadIdx.x); pair < channels / 2; pair += 32 * kWarps) {
    float2 total{};
#pragma unroll
    for (int w = 0; w < kWarps; ++w) total += shared[w][pair];
    store_pair(to + 2 * pair, total);
  }
}

template <class X, class Branch, class Normed, int kPairs>
__global__ void __launch_bounds__(32 * kWarps)
    backward_kernel(const LayerNorm norm, const LayerNormBackward maps, float* partial) {
  __shared__ float2 shared[kWarps][kMaxChannels / 2];
  allow_next_kernel();
  const int channels = static_cast<int>(norm.channels);
  float2 weights[kPairs], grad_weight[kPairs], grad_bias[kPairs];
#pragma unroll
  for (int i = 0; i < kPairs; ++i) {
    weights[i] = channel_of(i) < channels ? load_pair(norm.weight + channel_of(i)) : float2{};
    grad_weight[i] = grad_bias[i] = {0.0F, 0.0F};
  }
  const int64_t step = static_cast<int64_t>(gridDim.x) * kWarps;
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * kWarps + warp_of(); row < norm.rows; row += step) {
    const int64_t at = row * channels;
    const float2 statistics = load_pair(maps.statistics + 2 * row);
    float2 grads[kPairs], units[kPairs];
    float first = 0.0F, second = 0.0F;
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      const int c = channel_of(i);
      grads[i] = units[i] = {0.0F, 0.0F};
      if (c >= channels) continue;
      grads[i] = load_pair(static_cast<const Normed*>(maps.grad_normed) + at + c);
      units[i] =
          statistics.y * (load_pair(static_cast<const X*>(maps.sum) + at + c) - float2{statistics.x, statistics.x});
      add_product(grad_weight[i], grads[i], units[i]);
      grad_bias[i] += grads[i];
      grads[i] = grads[i] * weights[i];
      first += grads[i].x + grads[i].y;
      second += grads[i].x * units[i].x + grads[i].y * units[i].y;
    }
    first = sum_over_warp(first) / static_cast<float>(channels);
    second = sum_over_warp(second) / static_cast<float>(channels);
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      const int c = channel_of(i);
      if (c >= channels) continue;
      auto grad = statistics.y * (grads[i] - float2{first, first} - second * units[i]);
      if (maps.grad_sum != nullptr) grad += load_pair(static_cast<const X*>(maps.grad_sum) + at + c);
      store_pair(static_cast<X*>(maps.grad_x) + at + c, grad);
      if (maps.grad_branch != nullptr) store_pair(static_cast<Branch*>(maps.grad_branch) + at + c, grad);
    }
  }
  float* own = partial + static_cast<int64_t>(blockIdx.x) * 2 * channels;
  write_partial(grad_weight, own, channels, shared);
  write_partial(grad_bias, own + channels, channels, shared);
}

/// Calls `launch` with how many pairs of channels a lane holds at most.
template <class Launch>
cudaError_t with_pairs(int64_t channels, Launch&& launch) {
  const auto pairs = (channels + 63) / 64;
  if (pairs <= 1) return launch(std::integral_constant<int, 1>());
  if (pairs <= 2) return launch(std::integral_constant<int, 2>());
  if (pairs <= 3) return launch(std::integral_constant<int, 3>());
  if (pairs <= 5) return launch(std::integral_constant<int, 5>());
  if (pairs <= 8) return launch(std::integral_constant<int, 8>());
  if (pairs <= 12) return launch(std::integral_constant<int, 12>());
  return launch(std::integral_constant<int, 16>());
}

/// Calls `launch` with a null pointer of the type.
template <class Launch>
cudaError_t with_type(bool bfloat16, Launch&& launch) {
  return bfloat16 ? launch(static_cast<__nv_bfloat16*>(nullptr)) : launch(static_cast<float*>(nullptr));
}

/// Calls `launch` with null pointers of the types of x, branch and normed.
template <class Launch>
cudaError_t with_types(const LayerNorm& norm, Launch&& launch) {
  return with_type(norm.x_bfloat16, [&](auto x) {
    return with_type(norm.branch_bfloat16, [&](auto branch) {
      return with_type(norm.normed_bfloat16, [&](auto normed) { return launch(x, branch, normed); });
    });
  });
}

}  // namespace

cudaError_t layer_norm_forward(const LayerNorm& norm, const LayerNormForward& maps, cudaStream_t stream) {
  return with_types(norm, [&](auto x, auto branch, auto normed) {
    using X = std::remove_pointer_t<decltype(x)>;
    using Branch = std::remove_pointer_t<decltype(branch)>;
    using Normed = std::remove_pointer_t<decltype(normed)>;
    return with_pairs(norm.channels, [&](auto pairs) {
      const auto blocks = static_cast<unsigned>((norm.rows + kWarps - 1) / kWarps);
      forward_kernel<X, Branch, Normed, decltype(pairs)::value><<<blocks, 32 * kWarps, 0, stream>>>(norm, maps);
      return cudaGetLastError();
    });
  });
}

int64_t layer_norm_parts(const LayerNorm& norm) {
  return std::clamp<int64_t>((norm.rows + kWarps - 1) / kWarps, 1, kParts);
}

cudaError_t layer_norm_backward(const LayerNorm& norm, const LayerNormBackward& maps, float* partial,
                                float* grad_parameters, cudaStream_t stream) {
  const auto parts = layer_norm_parts(norm);
  const auto status = with_types(norm, [&](auto x, auto branch, auto normed) {
    using X = std::remove_pointer_t<decltype(x)>;
    using Branch = std::remove_pointer_t<decltype(branch)>;
    using Normed = std::remove_pointer_t<decltype(normed)>;
    return with_pairs(norm.channels, [&](auto pairs) {
      backward_kernel<X, Branch, Normed, decltype(pairs)::value>
          <<<static_cast<unsigned>(parts), 32 * kWarps, 0, stream>>>(norm, maps, partial);
      return cudaGetLastError();
    });
  });
  if (status != cudaSuccess) return status;
  return sum_partials(partial, parts, 2 * norm.channels, grad_parameters, stream);
}

}  // namespace codmoe::ops::cuda
