// Texture expert: the same pattern at four scales, after a reduction.
#pragma once

#include "codmoe/experts/expert.h"

namespace codmoe::experts {

/// Four branches: 1x1 with bias to the branch's width w, then cna(w, w, 3, dilation 1, 2, 4, 8); concatenated, then
/// cna 1x1. Parameters `branches.N.reduce.*`, `branches.N.conv.weight`, `branches.N.norm.*`, `fusion.*`.
/// Shapes, dtype and errors: expert.h.
/// Source: the guide's texture expert (receptive fields after RFB, Liu et al. 2018).
class TextureExpert final : public Expert {
 public:
  explicit TextureExpert(const ExpertOptions& options);
  at::Tensor forward(const at::Tensor& x_bchw, const nn::SampleMask& mask_b = std::nullopt) override;
  at::Tensor forward_at(const at::Tensor& x_bchw, const at::Tensor& positions_p) override;
  bool saves_at_positions() const override { return fusion_->has_pointwise_norm(); }
  std::optional<ExpertDescription> describe() const override { return description_; }

 private:
  class BranchImpl;

  ExpertDescription description_;
  std::vector<std::shared_ptr<BranchImpl>> branches_;
  nn::ConvNormAct fusion_{nullptr};
};

}  // namespace codmoe::experts
