// The norm of every block: batch, group or layer.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <optional>

#include "codmoe/core/options.h"
#include "codmoe/ops/batch_norm_act.h"

namespace codmoe::nn {

/// See NormImpl.
enum class NormKind { batch, group, layer };
constexpr auto enum_names(NormKind) {
  return core::names<NormKind>({{"batch", NormKind::batch}, {"group", NormKind::group}, {"layer", NormKind::layer}});
}

/// Which samples count: bool [B]; absent means all.
using SampleMask = std::optional<at::Tensor>;

/// The largest divisor of `width` that is at most 8: groups of a group norm, heads of attention.
int64_t largest_divisor_up_to_8(int64_t width);

/// Normalises x [B, C, H, W]: `batch` over samples and positions (eps 1e-5, momentum 0.1), `group` over groups of
/// channels of one sample, `layer` over the channels of one position. Parameters `weight`, `bias` [C]; batch has
/// PyTorch's buffers `running_mean`, `running_var` [C], `num_batches_tracked` (int64) too. The result has x's shape and
/// dtype. Source: Ioffe and Szegedy 2015, Wu and He 2018, Ba et al. 2016 (as ConvNeXt applies it to maps).
class NormImpl : public torch::nn::Module {
 public:
  NormImpl(NormKind kind, int64_t channels);

  /// The norm, then `activation`. In training, batch statistics come from the samples of `mask_b` alone. With fewer
  /// than two values a channel the norm gives the bias, and the running statistics stay untouched.
  at::Tensor forward(const at::Tensor& x_bchw, const SampleMask& mask_b = std::nullopt,
                     ops::Activation activation = ops::Activation::none);

  /// Whether, in the present mode, a position's result depends on that position alone.
  bool is_pointwise() const { return kind_ == NormKind::layer || (kind_ == NormKind::batch && !is_training()); }

 private:
  ops::BatchNormState batch_norm_state() const;
  at::Tensor normalize(const at::Tensor& x_bchw) const;

  NormKind kind_;
  int64_t groups_;
  at::Tensor weight_, bias_, running_mean_, running_var_, batches_;
};
TORCH_MODULE(Norm);

}  // namespace codmoe::nn
