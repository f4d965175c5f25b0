#include "codmoe/moe/router.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>

#include "codmoe/nn/conv_norm_act.h"
#include "codmoe/ops/routing.h"

namespace codmoe::moe {

namespace {

constexpr double kLogitLimit = 10.0;

/// Autocast would compute the gate in bfloat16, where near ties flip.
class AutocastOff {
 private:
  c10::impl::ExcludeDispatchKeyGuard guard_{c10::autocast_dispatch_keyset};
};

/// A 1x1 convolution by `weight` [O, C, 1, 1], as a product of matrices: cuDNN's convolutions use TF32 by default.
at::Tensor pointwise(const at::Tensor& x_bchw, const at::Tensor& weight) {
  const auto y_bon = at::matmul(weight.to(x_bchw.scalar_type()).flatten(1), x_bchw.flatten(2));
  return y_bon.unflatten(2, {x_bchw.size(2), x_bchw.size(3)});
}

}  // namespace

RouterImpl::RouterImpl(int64_t dim, int64_t experts, int64_t top_k, const RouterOptions& options,
                       const RouterForm& form)
    : top_k_(top_k), options_(options) {
  const auto keep = [this](const auto& gate) {
    gate_weight_ = gate->weight;
    gate_bias_ = gate->bias;
  };
  if (form.routing == RoutingKind::spatial) {
    const nn::ConvShape hidden{.in = dim, .out = dim / 4}, gate{.in = dim / 4, .out = experts};
    hidden_ = register_module("hidden", nn::make_conv(hidden, /*bias=*/false));
    norm_ = register_module("norm", nn::Norm(form.norm, dim / 4));
    keep(register_module("gate", nn::make_conv(gate, /*bias=*/true)));
  } else {
    keep(register_module("gate", torch::nn::Linear(dim, experts)));
  }
  if (form.selection_bias) selection_bias_ = register_buffer("selection_bias", at::zeros({experts}));
}

at::Tensor RouterImpl::logits(const at::Tensor& x_bchw) {
  const auto wide = at::promote_types(x_bchw.scalar_type(), at::kFloat);
  const auto bias_e = gate_bias_.to(wide);
  if (!hidden_) return at::linear(x_bchw.mean({2, 3}, /*keepdim=*/false, wide), gate_weight_.to(wide), bias_e);
  const auto hidden_bchw = at::gelu(norm_->forward(pointwise(x_bchw.to(wide), hidden_->weight)));
  return pointwise(hidden_bchw, gate_weight_) + bias_e.view({1, -1, 1, 1});
}

at::Tensor RouterImpl::scaled(const at::Tensor& logits) const {
  auto z = logits.clamp(-kLogitLimit, kLogitLimit);
  if (is_training() && options_.noise > 0) z = z + options_.noise * at::randn_like(z);
  return z / options_.temperature;
}

Routing RouterImpl::forward(const at::Tensor& x_bchw) {
  const AutocastOff float32;
  const auto raw = logits(x_bchw);
  const auto probs = scaled(raw).softmax(1);
  const auto choice = ops::select_top_k(probs, top_k_, selection_bias_);
  return {raw, probs, choice.indices, choice.weights};
}

ops::FusedRouter RouterImpl::fused(int64_t batch) const {
  const bool noisy = is_training() && options_.noise > 0;
  const auto floats = gate_bias_.options().dtype(at::kFloat).requires_grad(false);
  return {.weight = gate_weight_,
          .bias = gate_bias_,
          .selection_bias = selection_bias_.value_or(at::Tensor()),
          .logit_limit = kLogitLimit,
          .temperature = options_.temperature,
          .top_k = top_k_,
          .noise = noisy ? options_.noise * at::randn({batch, gate_bias_.size(0)}, floats) : at::Tensor()};
}

}  // namespace codmoe::moe
