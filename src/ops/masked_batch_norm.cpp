#include "codmoe/ops/masked_batch_norm.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace codmoe::ops {

namespace {

at::Tensor per_channel(const at::Tensor& value_c) { return value_c.view({1, -1, 1, 1}); }

/// running += momentum * (value - running), where there were at least two values a channel.
void update_running(at::Tensor running_c, const at::Tensor& value_c, const at::Tensor& rate) {
  running_c.add_(rate * (value_c.detach().to(running_c.scalar_type()) - running_c));
}

}  // namespace

at::Tensor masked_batch_norm(const at::Tensor& x_bchw, const at::Tensor& mask_b, const BatchNormState& state) {
  TORCH_CHECK(x_bchw.dim() == 4, "masked_batch_norm: x must be [B, C, H, W], not ", x_bchw.sizes());
  TORCH_CHECK(mask_b.dim() == 1 && mask_b.size(0) == x_bchw.size(0) && mask_b.scalar_type() == at::kBool,
              "masked_batch_norm: mask must be bool [B], not ", mask_b.scalar_type(), " of ", mask_b.sizes());
  const auto wide = at::promote_types(x_bchw.scalar_type(), at::kFloat);
  const auto x = x_bchw.to(wide);
  const auto mask = mask_b.to(wide).view({-1, 1, 1, 1});
  const auto count = mask.sum() * static_cast<double>(x.size(2) * x.size(3));
  const auto enough = (count > 1).to(wide);
  const auto divisor = count.clamp_min(1);

  const auto mean_c = (x * mask).sum({0, 2, 3}) / divisor;
  const auto centred = x - per_channel(mean_c);
  const auto var_c = (centred.square() * mask).sum({0, 2, 3}) / divisor;
  {
    const at::NoGradGuard no_grad;
    const auto rate = (enough * state.momentum).to(state.running_mean.scalar_type());
    update_running(state.running_mean, mean_c, rate);
    update_running(state.running_var, var_c * count / (count - 1).clamp_min(1), rate);
  }
  const auto scale_c = state.weight.to(wide) * (var_c + state.eps).rsqrt() * enough;
  return (centred * per_channel(scale_c) + per_channel(state.bias.to(wide))).to(x_bchw.scalar_type());
}

}  // namespace codmoe::ops
