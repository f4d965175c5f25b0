// Swin Transformer (Liu et al. 2021, arXiv:2103.14030), as timm's swin_tiny_patch4_window7_224: attention within
// windows that every other block shifts by half their size. Module names are timm's state-dict keys.
#pragma once

#include <torch/nn/modules/container/any.h>
#include <torch/nn/modules/container/sequential.h>

#include "codmoe/backbone/backbone.h"

namespace codmoe::backbone {

/// Sizes of the four stages, at strides 4, 8, 16, 32; as they stand, those of swin_tiny_patch4_window7_224.
struct SwinOptions {
  std::array<int64_t, 4> depths{2, 2, 6, 2};           ///< transformer blocks
  std::array<int64_t, 4> channels{96, 192, 384, 768};  ///< multiples of the 32 channels of a head
};

/// dtype and errors: backbone.h. Training and evaluation give the same but for stochastic depth. Images need 4
/// pixels a side. Rows and columns that don't fill a patch are left out, as in timm, and odd maps are padded before
/// they are halved: the feature of stride 4 is [B, C, floor(H/4), floor(W/4)], each after it half as large, rounded up.
///
/// Images of any size give what timm's model built for that size (img_size=(H, W)) gives. A map with no more than 7
/// rows is one window high, and not shifted along them; so with columns. Of the bias, which is learnt for every offset
/// within 7 x 7, a smaller window takes those of its own offsets; timm, loading weights for such a model, resizes the
/// table instead.
class Swin : public Backbone {
 public:
  explicit Swin(const SwinOptions& options);

  /// Each stage's output, as timm's features_only but [B, C, H, W]; channels-last in memory.
  at::Tensor stage(std::size_t index, const at::Tensor& x_bchw) override;
  StageModules stage_modules(std::size_t index) const override;
  std::vector<int64_t> channels() const override { return channels_; }
  Normalization normalization() const override;
  /// The classifier and its norm; and the tables `relative_position_index` and `attn_mask` of blocks, which files of
  /// older versions hold though they follow from the sizes alone, and which are computed here.
  std::vector<std::string> head_prefixes() const override;

 private:
  torch::nn::AnyModule patch_embed_;
  torch::nn::Sequential layers_;
  std::vector<int64_t> channels_;
};

}  // namespace codmoe::backbone
