// Pyramid Vision Transformer v2 (Wang et al. 2022, arXiv:2106.13797), as timm's pvt_v2_b0 … b5 and pvt_v2_b2_li:
// overlapping patch embeddings, attention whose keys and values come from a coarser grid, and feed-forward layers with
// a depthwise convolution in place of position embeddings. Module names are timm's state-dict keys.
#pragma once

#include <torch/nn/modules/container/any.h>
#include <torch/nn/modules/container/sequential.h>

#include "codmoe/backbone/backbone.h"

namespace codmoe::backbone {

/// Sizes of the four stages, at strides 4, 8, 16, 32.
struct PvtV2Options {
  std::array<int64_t, 4> depths{2, 2, 2, 2};           ///< transformer blocks
  std::array<int64_t, 4> channels{64, 128, 320, 512};  ///< multiples of the heads: 1, 2, 5, 8
  std::array<int64_t, 4> expansions{8, 8, 4, 4};       ///< hidden channels of a feed-forward layer, per channel
  /// Keys and values from the map averaged to 7 x 7 (section 3.2), at a cost linear in the pixels; otherwise from
  /// strided convolutions.
  bool linear_attention = false;
};

/// Shapes, dtype and errors: backbone.h. Training and evaluation give the same but for stochastic depth.
/// Images need 29 pixels a side, except with linear attention. On CUDA the gradient of linear attention's average is
/// one that PyTorch refuses in deterministic mode.
class PvtV2 : public Backbone {
 public:
  explicit PvtV2(const PvtV2Options& options);

  /// Each stage's normalised output, as timm's features_only; channels-last in memory.
  at::Tensor stage(std::size_t index, const at::Tensor& x_bchw) override;
  StageModules stage_modules(std::size_t index) const override;
  std::vector<int64_t> channels() const override { return channels_; }
  Normalization normalization() const override;
  std::vector<std::string> head_prefixes() const override;

 private:
  torch::nn::AnyModule patch_embed_;
  torch::nn::Sequential stages_;
  std::vector<int64_t> channels_;
};

}  // namespace codmoe::backbone
