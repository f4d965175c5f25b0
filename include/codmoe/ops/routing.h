// The choice of experts from router probabilities.
#pragma once

#include <ATen/core/Tensor.h>

namespace codmoe::ops {

struct TopK {
  at::Tensor indices;  ///< int64 [B, k], best first
  at::Tensor weights;  ///< [B, k], the chosen probabilities renormalised to sum 1; differentiable
};

/// The k most probable of E experts a sample, from probabilities [B, E] (float32 or float64). Of equal probabilities
/// the lowest index wins, on every device.
TopK select_top_k(const at::Tensor& probs_be, int64_t k);

}  // namespace codmoe::ops
