// Hybrid expert: local detail, gated by what the whole image is.
#pragma once

#include "codmoe/experts/expert.h"

namespace codmoe::experts {

/// local = GELU(1x1(norm(depthwise 5x5(x)))); gate = sigmoid(1x1(GELU(1x1(mean of x)))), C -> C/4 -> C;
/// f(x) = 1x1(local * gate). Parameters `local.depthwise.weight`, `local.norm.*`, `local.pointwise.*`, `gate.reduce.*`,
/// `gate.expand.*`, `fusion.*`. Shapes, dtype and errors: expert.h. Source: the guide's hybrid expert (gate after
/// squeeze-and-excitation, Hu et al. 2018).
class HybridExpert final : public Expert {
 public:
  explicit HybridExpert(const ExpertOptions& options);
  at::Tensor forward(const at::Tensor& x_bchw, const nn::SampleMask& mask_b = std::nullopt) override;
  at::Tensor forward_at(const at::Tensor& x_bchw, const at::Tensor& positions_p) override;
  /// Always: its only norm comes before its 1x1 convolutions.
  bool saves_at_positions() const override { return true; }
  std::optional<ExpertDescription> describe() const override { return description_; }

 private:
  at::Tensor neighbourhood(const at::Tensor& x_bchw, const nn::SampleMask& mask_b);
  at::Tensor gate(const at::Tensor& x_bchw);
  /// f(x) from the other two.
  at::Tensor mixed(const at::Tensor& neighbourhood, const at::Tensor& gate);

  ExpertDescription description_;
  nn::Norm norm_{nullptr};
  torch::nn::Conv2d depthwise_{nullptr}, pointwise_{nullptr}, reduce_{nullptr}, expand_{nullptr}, fusion_{nullptr};
};

}  // namespace codmoe::experts
