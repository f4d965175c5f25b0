// ResNet (He et al. 2016, arXiv:1512.03385) as timm's resnet18, resnet34 and resnet50, and Res2Net (Gao et al. 2019,
// arXiv:1904.01169) as timm's res2net50_26w_4s, which differs in its blocks alone. Module names are timm's state-dict
// keys.
#pragma once

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>

#include "codmoe/backbone/backbone.h"

namespace codmoe::backbone {

/// The residual branch of a block in a stage of width w (64, 128, 256, 512).
enum class ResNetBlock {
  basic,       ///< two 3x3 convolutions; w channels come out
  bottleneck,  ///< 1x1, 3x3 and 1x1, whose stride is the 3x3's; 4w channels come out
  res2net,     ///< a bottleneck whose 3x3 is split along the channels into a hierarchy of scales; 4w channels come out
};

/// Which member of the family.
struct ResNetOptions {
  ResNetBlock block = ResNetBlock::basic;
  std::array<int64_t, 4> depths{2, 2, 2, 2};  ///< blocks of each stage
  int64_t scales = 4;                         ///< of res2net: groups of channels
  int64_t scale_width = 26;                   ///< of res2net: channels of each group, where w is 64
};

/// A 7x7 convolution and max pooling to stride 4, then four stages; all but the first halve their input.
/// Shapes, dtype and errors: backbone.h.
class ResNet : public Backbone {
 public:
  explicit ResNet(const ResNetOptions& options);

  /// Outputs of layer1 to layer4, as timm's features_only with out_indices (1, 2, 3, 4).
  at::Tensor stage(std::size_t index, const at::Tensor& x_bchw) override;
  StageModules stage_modules(std::size_t index) const override;
  std::vector<int64_t> channels() const override { return channels_; }
  Normalization normalization() const override;
  std::vector<std::string> head_prefixes() const override { return {"fc."}; }

 private:
  torch::nn::Conv2d conv1_{nullptr};
  torch::nn::BatchNorm2d bn1_{nullptr};
  std::vector<torch::nn::Sequential> layers_;
  std::vector<int64_t> channels_;
};

}  // namespace codmoe::backbone
