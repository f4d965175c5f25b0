#include "codmoe/ops/routing.h"

#include <ATen/ATen.h>

namespace codmoe::ops {

namespace {

/// What the experts are chosen by: no gradient reaches the bias, nor the probabilities through the choice.
at::Tensor selection_scores(const at::Tensor& probs, const std::optional<at::Tensor>& selection_bias) {
  if (!selection_bias) return probs.detach();
  TORCH_CHECK(selection_bias->dim() == 1 && selection_bias->size(0) == probs.size(1),
              "select_top_k: the selection bias must be [", probs.size(1), "], not ", selection_bias->sizes());
  std::vector<int64_t> shape(static_cast<std::size_t>(probs.dim()), 1);
  shape[1] = probs.size(1);
  return probs.detach() + selection_bias->detach().to(probs.scalar_type()).view(shape);
}

}  // namespace

TopK select_top_k(const at::Tensor& probs, int64_t k, const std::optional<at::Tensor>& selection_bias) {
  TORCH_CHECK(probs.dim() == 2 || probs.dim() == 4, "select_top_k: probabilities must be [B, E] or [B, E, H, W], not ",
              probs.sizes());
  TORCH_CHECK(k >= 1 && k <= probs.size(1), "select_top_k: k must be in [1, ", probs.size(1), "], not ", k);
  // A stable sort, because topk leaves the order of ties open.
  const auto scores = selection_scores(probs, selection_bias);
  const auto order = std::get<1>(scores.sort(/*stable=*/true, /*dim=*/1, /*descending=*/true));
  const auto indices = order.slice(1, 0, k).contiguous();
  const auto chosen = probs.gather(1, indices);
  return {.indices = indices, .weights = chosen / chosen.sum(1, /*keepdim=*/true)};
}

}  // namespace codmoe::ops
