// Which experts an image gets.
#pragma once

#include <torch/nn/modules/linear.h>

#include "codmoe/core/options.h"
#include "codmoe/moe/routing.h"
#include "codmoe/ops/fused_moe.h"

namespace codmoe::moe {

struct RouterOptions {
  double temperature = 1.0;  ///< divides the logits
  double noise = 0.0;        ///< standard deviation of Gaussian noise on the logits, while training

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("temperature", temperature, core::above(0.0));
    visit("noise", noise, core::at_least(0.0));
  }
};

/// logits = Linear(mean of x over positions); z = (clamp(logits, -10, 10) + noise) / temperature; p = softmax(z); the k
/// most probable experts, their probabilities renormalised. Always float32 at least, under autocast too.
/// Parameters `gate.weight` [E, C], `gate.bias` [E].
class RouterImpl : public torch::nn::Module {
 public:
  RouterImpl(int64_t dim, int64_t experts, int64_t top_k, const RouterOptions& options);
  /// x [B, C, H, W] -> Routing of B images.
  Routing forward(const at::Tensor& x_bchw);

  /// What the fused kernels need to choose in the same way, in evaluation.
  ops::FusedRouter fused() const;

 private:
  at::Tensor scaled(const at::Tensor& logits_be) const;

  int64_t top_k_;
  RouterOptions options_;
  torch::nn::Linear gate_;
};
TORCH_MODULE(Router);

}  // namespace codmoe::moe
