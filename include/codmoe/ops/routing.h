// The choice of experts from router probabilities.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace codmoe::ops {

struct TopK {
  at::Tensor indices;  ///< int64 [B, k, ...], best first
  at::Tensor weights;  ///< [B, k, ...], the chosen probabilities renormalised to sum 1; differentiable
};

/// The k best of E experts, from probabilities [B, E] a sample or [B, E, H, W] a position (float32 or float64). The
/// best have the highest probability + `selection_bias` [E]; weights come from the probabilities alone. Of equal sums
/// the lowest index wins, on every device. Source of the bias: loss-free balancing (Wang et al. 2024).
TopK select_top_k(const at::Tensor& probs, int64_t k, const std::optional<at::Tensor>& selection_bias = std::nullopt);

}  // namespace codmoe::ops
