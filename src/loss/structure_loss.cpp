#include "codmoe/loss/structure_loss.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

namespace codmoe::loss {

void StructureLossOptions::check() const {
  if (window % 2 == 0) throw core::BadOption("window", fmt::format("must be odd; it is {}", window));
}

at::Tensor structure_loss(const at::Tensor& logits_b1hw, const at::Tensor& mask_b1hw,
                          const StructureLossOptions& options) {
  TORCH_CHECK(logits_b1hw.dim() == 4 && logits_b1hw.sizes() == mask_b1hw.sizes(),
              "structure_loss: logits and mask must be [B, 1, H, W] alike, not ", logits_b1hw.sizes(), " and ",
              mask_b1hw.sizes());
  const auto wide = at::promote_types(logits_b1hw.scalar_type(), at::kFloat);
  const auto logits = logits_b1hw.to(wide);
  const auto mask = mask_b1hw.to(wide);
  const auto box = at::avg_pool2d(mask, options.window, 1, options.window / 2);
  const auto weight = 1 + options.weight * (box - mask).abs();
  const auto sum = [](const at::Tensor& map) { return map.sum({2, 3}); };

  const auto pixel_bce = at::binary_cross_entropy_with_logits(logits, mask, {}, {}, at::Reduction::None);
  const auto bce = options.bce == BceWeighting::legacy ? pixel_bce.mean() : sum(weight * pixel_bce) / sum(weight);
  const auto probability = logits.sigmoid();
  const auto intersection = sum(weight * probability * mask);
  const auto both = sum(weight * (probability + mask));
  return (bce + 1 - (intersection + 1) / (both - intersection + 1)).mean();
}

}  // namespace codmoe::loss
