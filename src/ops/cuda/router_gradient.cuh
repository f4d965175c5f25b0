// The backward of the router: softmax of the clamped logits, and the chosen probabilities' shares of their sum.
#pragma once

#include "elements.cuh"
#include "training.h"

namespace codmoe::ops::cuda {

constexpr int kRouterChannels = 32;  ///< of one block of run_router_weight_gradient

/// Of one image's logits [E], from gradients of its weights [k] (the caller's sum of all that reach them) and of what
/// ChoiceGradient has for its logits and probs. Called by one thread.
__device__ inline void choice_gradient(const Training& training, int image, const float* weights_gradient,
                                       float* logits_gradient) {
  const int experts = training.shape.experts, top_k = training.shape.top_k;
  const Router& router = training.router;
  const ChoiceGradient& outer = training.choice_gradient;
  const float* probs = training.choice.probs + image * experts;
  const float* logits = training.choice.logits + image * experts;
  const float* weights = training.choice.weights + image * top_k;
  const int64_t* indices = training.choice.indices + image * top_k;
  float chosen = 0.0F, mean = 0.0F;
  for (int k = 0; k < top_k; ++k) {
    chosen += probs[indices[k]];
    mean += weights_gradient[k] * weights[k];
  }
  for (int e = 0; e < experts; ++e)
    logits_gradient[e] = outer.probs != nullptr ? outer.probs[image * experts + e] : 0.0F;
  for (int k = 0; k < top_k; ++k) logits_gradient[indices[k]] += (weights_gradient[k] - mean) / chosen;
  float total = 0.0F;
  for (int e = 0; e < experts; ++e) total += probs[e] * logits_gradient[e];
  for (int e = 0; e < experts; ++e) {
    const bool passes = !(fabsf(logits[e]) > router.logit_limit);
    const float inner = passes ? probs[e] * (logits_gradient[e] - total) / router.temperature : 0.0F;
    logits_gradient[e] = inner + (outer.logits != nullptr ? outer.logits[image * experts + e] : 0.0F);
  }
}

/// One image: weights_gradient [B, k] to logits_gradient [B, E] and mean_gradient [B, C] of the mean of x. `shared`
/// holds kMaxExperts floats.
__device__ inline void run_router_gradient(const Training& training, int image, const float* weights_gradient,
                                           float* logits_gradient, float* mean_gradient, float* shared) {
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  const int channels = training.shape.channels, experts = training.shape.experts;
  if (thread == 0) choice_gradient(training, image, weights_gradient + image * training.shape.top_k, shared);
  __syncthreads();
  if (thread < experts) logits_gradient[image * experts + thread] = shared[thread];
  for (int c = thread; c < channels; c += threads) {
    float total = 0.0F;
#pragma unroll 4
    for (int e = 0; e < experts; ++e) total += shared[e] * training.router.weight[e * channels + c];
    mean_gradient[static_cast<int64_t>(image) * channels + c] = total;
  }
}

/// The router's weight, channels from block * kRouterChannels, and in block 0 its bias. A warp an expert; no workspace.
__device__ inline void run_router_weight_gradient(const Training& training, const float* logits_gradient, int block) {
  static_assert(kRouterChannels == 32, "a lane a channel");
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32, warps = static_cast<int>(blockDim.x) / 32;
  const int channels = training.shape.channels, experts = training.shape.experts, c = block * kRouterChannels + lane;
  for (int e = warp; e < experts; e += warps) {
    float total = 0.0F, bias = 0.0F;
#pragma unroll 8
    for (int b = 0; b < training.shape.batch; ++b) {
      const float gradient = logits_gradient[b * experts + e];
      bias += gradient;
      total += gradient * training.choice.mean[static_cast<int64_t>(b) * channels + c];
    }
    training.router_weight_gradient[e * channels + c] = total;
    if (block == 0 && lane == 0) training.router_bias_gradient[e] = bias;
  }
}

}  // namespace codmoe::ops::cuda
