// The router's choice for one image, from its mean.
#pragma once

#include "elements.cuh"
#include "tiling.h"

namespace codmoe::ops::cuda {

/// What one image chose.
struct Chosen {
  float logits[kMaxExperts], probs[kMaxExperts];
  int experts[kMaxExperts];
  float weights[kMaxExperts];
};

/// Softmax of the logits, plus `noise` [E] where there is any, and the k most probable experts. Called by one thread.
__device__ inline void choose(const Shape& shape, const Router& router, const float* noise, Chosen& chosen) {
  float* probs = chosen.probs;
  float highest = -INFINITY, total = 0.0F;
  for (int e = 0; e < shape.experts; ++e) {
    const float logit = chosen.logits[e], limit = router.logit_limit;
    const float clamped = logit > limit ? limit : logit < -limit ? -limit : logit;  // fminf and fmaxf would hide NaN
    probs[e] = (clamped + (noise != nullptr ? noise[e] : 0.0F)) / router.temperature;
    highest = fmaxf(highest, probs[e]);
  }
  for (int e = 0; e < shape.experts; ++e) {
    probs[e] = expf(probs[e] - highest);
    total += probs[e];
  }
  for (int e = 0; e < shape.experts; ++e) probs[e] /= total;
  unsigned taken = 0;
  float chosen_total = 0.0F;
  for (int k = 0; k < shape.top_k; ++k) {
    int best = -1;
    float best_value = 0.0F;
    for (int e = 0; e < shape.experts; ++e) {
      const float value = probs[e] + (router.selection_bias != nullptr ? router.selection_bias[e] : 0.0F);
      if ((taken >> e & 1U) == 0 && (best < 0 || value > best_value)) {
        best = e;
        best_value = value;
      }
    }
    taken |= 1U << best;
    chosen.experts[k] = best;
    chosen.weights[k] = probs[best];
    chosen_total += probs[best];
  }
  for (int k = 0; k < shape.top_k; ++k) chosen.weights[k] /= chosen_total;
}

/// Called by a block of at least 32 threads an expert; `mean` [C] and `chosen` are shared memory, and the latter is
/// ready for all threads afterwards. `noise` [B, E] or null.
__device__ inline void choose_experts(const Shape& shape, const Router& router, const float* noise, int image,
                                      const float* mean, Chosen& chosen) {
  const int e = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  if (e < shape.experts) {
    float total = 0.0F;
    for (int c = lane; c < shape.channels; c += 32) total += mean[c] * router.weight[e * shape.channels + c];
    total = sum_over_warp(total);
    if (lane == 0) chosen.logits[e] = total + router.bias[e];
  }
  __syncthreads();
  if (threadIdx.x == 0) choose(shape, router, noise != nullptr ? noise + image * shape.experts : nullptr, chosen);
  __syncthreads();
}

__device__ inline void write_choice(const Shape& shape, const Choice& choice, int image, const Chosen& chosen) {
  const int i = static_cast<int>(threadIdx.x);
  if (i < shape.experts) {
    choice.logits[image * shape.experts + i] = chosen.logits[i];
    choice.probs[image * shape.experts + i] = chosen.probs[i];
  }
  if (i < shape.top_k) {
    choice.indices[image * shape.top_k + i] = chosen.experts[i];
    choice.weights[image * shape.top_k + i] = chosen.weights[i];
  }
}

}  // namespace codmoe::ops::cuda
