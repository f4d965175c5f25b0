#include "codmoe/nn/norm.h"

#include <ATen/ATen.h>

#include "codmoe/ops/masked_batch_norm.h"

namespace codmoe::nn {

namespace {

constexpr double kEps = 1e-5;
constexpr double kMomentum = 0.1;

}  // namespace

int64_t largest_divisor_up_to_8(int64_t width) {
  int64_t divisor = 8;
  while (width % divisor != 0) --divisor;
  return divisor;
}

NormImpl::NormImpl(NormKind kind, int64_t channels)
    : kind_(kind),
      groups_(largest_divisor_up_to_8(channels)),
      weight_(register_parameter("weight", at::ones({channels}))),
      bias_(register_parameter("bias", at::zeros({channels}))) {
  if (kind_ != NormKind::batch) return;
  running_mean_ = register_buffer("running_mean", at::zeros({channels}));
  running_var_ = register_buffer("running_var", at::ones({channels}));
  batches_ = register_buffer("num_batches_tracked", at::zeros({}, at::kLong));
}

at::Tensor NormImpl::forward(const at::Tensor& x_bchw, const SampleMask& mask_b) {
  switch (kind_) {
    case NormKind::batch:
      return batch_forward(x_bchw, mask_b);
    case NormKind::group:
      return at::group_norm(x_bchw, groups_, weight_, bias_, kEps);
    case NormKind::layer:
      return at::layer_norm(x_bchw.permute({0, 2, 3, 1}), {weight_.size(0)}, weight_, bias_, kEps)
          .permute({0, 3, 1, 2});
  }
  TORCH_CHECK(false, "unknown norm kind");
}

namespace {

/// LibTorch 2.11's batch norm on the CPU takes an input and a gradient for the same memory format where both suggest
/// the same one. Of a single image or row, strides can be those of NHWC and yet suggest NCHW: then its backward reads
/// one of them in the wrong order. (batch_norm_backward_cpu_template in ATen/native/Normalization.cpp.)
at::Tensor as_suggested(const at::Tensor& x_bchw) { return x_bchw.contiguous(x_bchw.suggest_memory_format()); }

}  // namespace

at::Tensor NormImpl::batch_forward(const at::Tensor& x_bchw, const SampleMask& mask_b) {
  const bool single_value = x_bchw.numel() <= x_bchw.size(1);
  if (is_training() && (mask_b || single_value)) {
    const auto mask = mask_b.value_or(at::ones({x_bchw.size(0)}, x_bchw.options().dtype(at::kBool)));
    batches_.add_(mask.sum() * (x_bchw.size(2) * x_bchw.size(3)) > 1);
    return ops::masked_batch_norm(x_bchw, mask, {weight_, bias_, running_mean_, running_var_, kEps, kMomentum});
  }
  if (is_training()) batches_.add_(1);
  const auto y_bchw = at::batch_norm(x_bchw.is_cpu() ? as_suggested(x_bchw) : x_bchw, weight_, bias_, running_mean_,
                                     running_var_, is_training(), kMomentum, kEps, /*cudnn_enabled=*/true);
  if (y_bchw.is_cpu() && y_bchw.requires_grad()) y_bchw.register_hook(as_suggested);
  return y_bchw;
}

}  // namespace codmoe::nn
