// EdgeNeXt (Maaz et al. 2022, arXiv:2206.10589), as timm's edgenext_xx_small, edgenext_x_small, edgenext_small and
// edgenext_base: depthwise convolutions whose kernels grow from stage to stage, and at the end of all stages but the
// first a block that attends from channels to channels. Module names are timm's state-dict keys.
#pragma once

#include <torch/nn/modules/container/sequential.h>

#include "codmoe/backbone/backbone.h"

namespace codmoe::backbone {

/// Sizes of the four stages, at strides 4, 8, 16, 32.
struct EdgeNeXtOptions {
  std::array<int64_t, 4> depths{3, 3, 9, 3};  ///< blocks; the last attends, but in the first stage
  std::array<int64_t, 4> channels{48, 96, 160, 304};
  int64_t heads = 8;  ///< of attention; must divide the channels of all stages but the first
};

/// dtype and errors: backbone.h. Training and evaluation give the same but for stochastic depth. Images need 32
/// pixels a side. Rows and columns that don't fill a patch are left out, as in timm: a feature of stride s is
/// [B, channels, floor(H/s), floor(W/s)].
class EdgeNeXt : public Backbone {
 public:
  explicit EdgeNeXt(const EdgeNeXtOptions& options);

  /// Each stage's output, as timm's features_only; channels-last in memory.
  at::Tensor stage(std::size_t index, const at::Tensor& x_bchw) override;
  StageModules stage_modules(std::size_t index) const override;
  std::vector<int64_t> channels() const override { return channels_; }
  Normalization normalization() const override;
  std::vector<std::string> head_prefixes() const override;

 private:
  torch::nn::Sequential stem_;
  torch::nn::Sequential stages_;
  std::vector<int64_t> channels_;
};

}  // namespace codmoe::backbone
