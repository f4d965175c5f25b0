// What the router decided for one batch.
#pragma once

#include <ATen/core/Tensor.h>

namespace codmoe::moe {

/// B images, E experts, k chosen.
struct Routing {
  at::Tensor logits_be;   ///< float32, unclamped, without noise
  at::Tensor probs_be;    ///< float32, softmax
  at::Tensor indices_bk;  ///< int64, best first
  at::Tensor weights_bk;  ///< float32, sum 1 an image; gradients reach the router through these

  int64_t batch() const { return probs_be.size(0); }
  int64_t experts() const { return probs_be.size(1); }
  int64_t top_k() const { return indices_bk.size(1); }
};

/// Assignments an expert received, [E] in the dtype of the probabilities; no gradient, no host synchronisation.
at::Tensor assignment_counts(const Routing& routing);

}  // namespace codmoe::moe
