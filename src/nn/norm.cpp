#include "codmoe/nn/norm.h"

#include <ATen/ATen.h>

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

at::Tensor NormImpl::forward(const at::Tensor& x_bchw, const SampleMask& mask_b, ops::Activation activation) {
  if (kind_ == NormKind::batch && is_training()) {
    return ops::batch_norm_act(x_bchw, mask_b, batch_norm_state(), activation);
  }
  return ops::activate_(normalize(x_bchw), activation);
}

ops::BatchNormState NormImpl::batch_norm_state() const {
  return {weight_, bias_, running_mean_, running_var_, batches_, kEps, kMomentum};
}

at::Tensor NormImpl::normalize(const at::Tensor& x_bchw) const {
  switch (kind_) {
    case NormKind::batch:
      return ops::batch_norm(x_bchw, batch_norm_state());
    case NormKind::group:
      return at::group_norm(x_bchw, groups_, weight_, bias_, kEps);
    case NormKind::layer:
      return at::layer_norm(x_bchw.permute({0, 2, 3, 1}), {weight_.size(0)}, weight_, bias_, kEps)
          .permute({0, 3, 1, 2});
  }
  TORCH_CHECK(false, "unknown norm kind");
}

}  // namespace codmoe::nn
