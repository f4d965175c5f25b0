#include "codmoe/loss/structure_loss.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "codmoe/ops/structure_terms.h"

namespace codmoe::loss {

void StructureLossOptions::check() const {
  if (window % 2 == 0) throw core::BadOption("window", fmt::format("must be odd; it is {}", window));
}

namespace {

/// w = 1 + weight * |box mean - mask|. The box is separable: two passes of `window` taps instead of window^2.
at::Tensor pixel_weights(const at::Tensor& mask, const StructureLossOptions& options) {
  const auto window = options.window, half = options.window / 2;
  const auto rows = at::avg_pool2d(mask, {window, 1}, {1, 1}, {half, 0});
  const auto box = at::avg_pool2d(rows, {1, window}, {1, 1}, {0, half});
  return 1 + options.weight * (box - mask).abs();
}

}  // namespace

at::Tensor structure_loss(const at::Tensor& logits_b1hw, const at::Tensor& mask_b1hw,
                          const StructureLossOptions& options) {
  return structure_loss(std::vector<at::Tensor>{logits_b1hw}, mask_b1hw, options);
}

at::Tensor structure_loss(const std::vector<at::Tensor>& outputs, const at::Tensor& mask_b1hw,
                          const StructureLossOptions& options) {
  TORCH_CHECK(!outputs.empty(), "structure_loss: there is no output");
  const auto wide = at::promote_types(outputs.front().scalar_type(), at::kFloat);
  const auto mask = mask_b1hw.to(wide);
  const auto weight = pixel_weights(mask, options);
  at::Tensor total;
  for (const auto& logits_b1hw : outputs) {
    TORCH_CHECK(logits_b1hw.dim() == 4 && logits_b1hw.sizes() == mask_b1hw.sizes(),
                "structure_loss: logits and mask must be [B, 1, H, W] alike, not ", logits_b1hw.sizes(), " and ",
                mask_b1hw.sizes());
    const auto loss = ops::structure_terms(logits_b1hw.to(wide), mask, weight, options.bce == BceWeighting::fixed);
    total = total.defined() ? total + loss : loss;
  }
  return total;
}

}  // namespace codmoe::loss
