// Which experts an image, or each of its positions, gets.
#pragma once

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include "codmoe/core/options.h"
#include "codmoe/moe/routing.h"
#include "codmoe/nn/norm.h"
#include "codmoe/ops/fused_moe.h"

namespace codmoe::moe {

enum class RoutingKind {
  global,  ///< one choice an image, from the mean over its positions
  spatial  ///< one choice a position
};
constexpr auto enum_names(RoutingKind) {
  return core::names<RoutingKind>({{"global", RoutingKind::global}, {"spatial", RoutingKind::spatial}});
}

struct RouterOptions {
  double temperature = 1.0;  ///< divides the logits
  double noise = 0.0;        ///< standard deviation of Gaussian noise on the logits, while training

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("temperature", temperature, core::above(0.0));
    visit("noise", noise, core::at_least(0.0));
  }
};

/// What the layer decides for its router.
struct RouterForm {
  RoutingKind routing = RoutingKind::global;
  nn::NormKind norm = nn::NormKind::batch;  ///< of spatial routing
  bool selection_bias = false;              ///< whether there is a buffer `selection_bias`
};

/// z = (clamp(logits, -10, 10) + noise) / temperature; p = softmax(z); the k experts of highest p + selection_bias,
/// their p renormalised. Noise is drawn from the default generator of x's device. Always float32 at least, under
/// autocast and TF32 convolutions too.
///
/// global: logits = Linear(mean of x over positions). Parameters `gate.weight` [E, C], `gate.bias` [E].
/// spatial: logits = 1x1(GELU(norm(1x1(x)))), C -> C/4 -> E. Parameters `hidden.weight` [C/4, C, 1, 1] (no bias, as in
/// every cna), `norm.*` (its batch statistics are over all images), `gate.weight` [E, C/4, 1, 1], `gate.bias` [E].
/// Both: with `selection_bias`, a buffer of that name, float32 [E], first zeros.
class RouterImpl : public torch::nn::Module {
 public:
  RouterImpl(int64_t dim, int64_t experts, int64_t top_k, const RouterOptions& options, const RouterForm& form = {});
  /// x [B, C, H, W] -> Routing of B images, or of their positions.
  Routing forward(const at::Tensor& x_bchw);
  /// The buffer; absent where the form has none.
  const std::optional<at::Tensor>& selection_bias() const { return selection_bias_; }

  /// What the fused kernels need to choose in the same way for B images; global routing only. Draws the noise, if any.
  ops::FusedRouter fused(int64_t batch) const;

 private:
  at::Tensor logits(const at::Tensor& x_bchw);
  at::Tensor scaled(const at::Tensor& logits) const;

  int64_t top_k_;
  RouterOptions options_;
  torch::nn::Conv2d hidden_{nullptr};  // spatial routing alone, as the norm
  nn::Norm norm_{nullptr};
  at::Tensor gate_weight_, gate_bias_;
  std::optional<at::Tensor> selection_bias_;
};
TORCH_MODULE(Router);

}  // namespace codmoe::moe
