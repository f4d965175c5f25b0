#include "codmoe/loss/structure_loss.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "codmoe/ops/pixel_weights.h"
#include "codmoe/ops/structure_terms.h"

namespace codmoe::loss {

void StructureLossOptions::check() const {
  if (window % 2 == 0) throw core::BadOption("window", fmt::format("must be odd; it is {}", window));
  if (!level_weights.empty() && std::ranges::max(level_weights) == 0) {
    throw core::BadOption("level_weights", "must not all be 0");
  }
}

at::Tensor structure_loss(const at::Tensor& logits_b1hw, const at::Tensor& mask_b1hw,
                          const StructureLossOptions& options) {
  return structure_loss(std::vector<at::Tensor>{logits_b1hw}, mask_b1hw, options);
}

at::Tensor structure_loss(const std::vector<at::Tensor>& outputs, const at::Tensor& mask_b1hw,
                          const StructureLossOptions& options) {
  const auto& levels = options.level_weights;
  TORCH_CHECK(!outputs.empty(), "structure_loss: there is no output");
  TORCH_CHECK(levels.empty() || levels.size() == outputs.size(), "structure_loss: ", levels.size(),
              " level weights for ", outputs.size(), " outputs");
  const auto wide = at::promote_types(outputs.front().scalar_type(), at::kFloat);
  const auto mask = mask_b1hw.to(wide);
  const auto weight = ops::pixel_weights(mask, options.window, options.weight);
  at::Tensor total;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    TORCH_CHECK(outputs[i].dim() == 4 && outputs[i].sizes() == mask_b1hw.sizes(),
                "structure_loss: logits and mask must be [B, 1, H, W] alike, not ", outputs[i].sizes(), " and ",
                mask_b1hw.sizes());
    const double level = levels.empty() ? 1.0 : levels[i];
    if (level == 0) continue;
    auto loss = ops::structure_terms(outputs[i].to(wide), mask, weight, options.bce == BceWeighting::fixed);
    if (level != 1) loss = loss * level;
    total = total.defined() ? total + loss : loss;
  }
  return total;
}

}  // namespace codmoe::loss
