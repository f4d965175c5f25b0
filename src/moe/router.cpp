#include "codmoe/moe/router.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>

#include "codmoe/ops/routing.h"

namespace codmoe::moe {

namespace {

constexpr double kLogitLimit = 10.0;

/// Autocast would compute the gate in bfloat16, where near ties flip.
class AutocastOff {
 private:
  c10::impl::ExcludeDispatchKeyGuard guard_{c10::autocast_dispatch_keyset};
};

}  // namespace

RouterImpl::RouterImpl(int64_t dim, int64_t experts, int64_t top_k, const RouterOptions& options)
    : top_k_(top_k), options_(options), gate_(register_module("gate", torch::nn::Linear(dim, experts))) {}

at::Tensor RouterImpl::scaled(const at::Tensor& logits_be) const {
  auto z_be = logits_be.clamp(-kLogitLimit, kLogitLimit);
  if (is_training() && options_.noise > 0) z_be = z_be + options_.noise * at::randn_like(z_be);
  return z_be / options_.temperature;
}

Routing RouterImpl::forward(const at::Tensor& x_bchw) {
  const AutocastOff float32;
  const auto wide = at::promote_types(x_bchw.scalar_type(), at::kFloat);
  const auto mean_bc = x_bchw.mean({2, 3}, /*keepdim=*/false, wide);
  const auto logits_be = at::linear(mean_bc, gate_->weight.to(wide), gate_->bias.to(wide));
  const auto probs_be = scaled(logits_be).softmax(1);
  const auto choice = ops::select_top_k(probs_be, top_k_);
  return {logits_be, probs_be, choice.indices, choice.weights};
}

ops::FusedRouter RouterImpl::fused() const {
  return {.weight = gate_->weight,
          .bias = gate_->bias,
          .logit_limit = kLogitLimit,
          .temperature = options_.temperature,
          .top_k = top_k_};
}

}  // namespace codmoe::moe
