// What the router decided for one batch.
#pragma once

#include <ATen/core/Tensor.h>

namespace codmoe::moe {

/// B images, E experts, k chosen. Global routing decides once an image: [B, E] and [B, k]. Spatial routing decides at
/// every position: [B, E, H, W] and [B, k, H, W].
struct Routing {
  at::Tensor logits;   ///< [B, E, ...] float32, unclamped, without noise
  at::Tensor probs;    ///< [B, E, ...] float32, softmax over the experts
  at::Tensor indices;  ///< [B, k, ...] int64, k different experts, best first (by probability, plus the selection bias
                       ///< where there is one)
  at::Tensor weights;  ///< [B, k, ...] float32, sum 1 over k; gradients reach the router through these

  int64_t batch() const { return probs.size(0); }
  int64_t experts() const { return probs.size(1); }
  int64_t top_k() const { return indices.size(1); }
  bool spatial() const { return probs.dim() == 4; }
};

/// Assignments an expert received, of images or of positions: [E] in the dtype of the probabilities; no gradient, no
/// host synchronisation.
at::Tensor assignment_counts(const Routing& routing);

}  // namespace codmoe::moe
