// ConvNeXt (Liu et al. 2022, arXiv:2201.03545), as timm's convnext_tiny: 7x7 depthwise convolutions, each followed by a
// feed-forward layer on the channels of every pixel. Module names are timm's state-dict keys.
#pragma once

#include <torch/nn/modules/container/sequential.h>

#include "codmoe/backbone/backbone.h"

namespace codmoe::backbone {

/// Sizes of the four stages, at strides 4, 8, 16, 32; as they stand, those of convnext_tiny.
struct ConvNeXtOptions {
  std::array<int64_t, 4> depths{3, 3, 9, 3};  ///< blocks
  std::array<int64_t, 4> channels{96, 192, 384, 768};
};

/// dtype and errors: backbone.h. Training and evaluation give the same but for stochastic depth. Images need 32
/// pixels a side. Rows and columns that don't fill a patch are left out, as in timm: a feature of stride s is
/// [B, channels, floor(H/s), floor(W/s)].
class ConvNeXt : public Backbone {
 public:
  explicit ConvNeXt(const ConvNeXtOptions& options);

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
