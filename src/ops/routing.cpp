#include "codmoe/ops/routing.h"

#include <ATen/ATen.h>

namespace codmoe::ops {

TopK select_top_k(const at::Tensor& probs_be, int64_t k) {
  TORCH_CHECK(probs_be.dim() == 2, "select_top_k: probabilities must be [B, E], not ", probs_be.sizes());
  TORCH_CHECK(k >= 1 && k <= probs_be.size(1), "select_top_k: k must be in [1, ", probs_be.size(1), "], not ", k);
  // A stable sort, because topk leaves the order of ties open.
  const auto order = std::get<1>(probs_be.detach().sort(/*stable=*/true, /*dim=*/1, /*descending=*/true));
  const auto indices_bk = order.slice(1, 0, k).contiguous();
  const auto chosen_bk = probs_be.gather(1, indices_bk);
  return {.indices = indices_bk, .weights = chosen_bk / chosen_bk.sum(1, /*keepdim=*/true)};
}

}  // namespace codmoe::ops
