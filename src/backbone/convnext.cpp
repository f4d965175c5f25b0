#include "codmoe/backbone/convnext.h"

#include <ATen/ATen.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <optional>

#include "channels_last.h"
#include "codmoe/nn/drop_path.h"
#include "convnext_parts.h"

namespace codmoe::backbone {

namespace {

/// Section 2.6 of the paper: [B, H, W, C] -> [B, H, W, C].
class ConvNeXtBlock : public torch::nn::Module {
 public:
  explicit ConvNeXtBlock(int64_t channels)
      : conv_dw_(register_module("conv_dw", make_depthwise_conv(channels, 7))),
        norm_(register_module("norm", make_layer_norm(channels, convnext_eps))),
        mlp_(register_module("mlp", std::make_shared<ConvNeXtMlp>(channels))),
        gamma_(register_parameter("gamma", initial_gamma(channels))),
        drop_path_(register_module("drop_path", nn::DropPath())) {}

  at::Tensor forward(const at::Tensor& x_bhwc) {
    const auto y_bhwc = norm_(to_channels_last(conv_dw_(to_channels_second(x_bhwc))));
    return at::addcmul(x_bhwc, gamma_, drop_path_(mlp_->forward(y_bhwc)));
  }

 private:
  torch::nn::Conv2d conv_dw_;
  torch::nn::LayerNorm norm_;
  std::shared_ptr<ConvNeXtMlp> mlp_;
  at::Tensor gamma_;
  nn::DropPath drop_path_;
};

/// Halves the map (but for the first stage, which has no `in`), then blocks: [B, H, W, in] -> [B, H', W', C].
class ConvNeXtStage : public torch::nn::Module {
 public:
  ConvNeXtStage(std::optional<int64_t> in, int64_t depth, int64_t channels) {
    if (in) downsample_ = register_module("downsample", make_downsample(*in, channels));
    for (int64_t i = 0; i < depth; ++i) blocks_->push_back(ConvNeXtBlock(channels));
    register_module("blocks", blocks_);
  }

  at::Tensor forward(const at::Tensor& x_bhwc) {
    return blocks_->forward(downsample_->is_empty() ? x_bhwc : apply_downsample(downsample_, x_bhwc));
  }

 private:
  torch::nn::Sequential downsample_;
  torch::nn::Sequential blocks_;
};

/// As timm, whose truncation at ±2 is a hundred deviations away: a plain normal distribution.
template <class Layer>
void init_normal(Layer& layer) {
  layer.weight.normal_(0.0, 0.02);
  layer.bias.zero_();
}

}  // namespace

ConvNeXt::ConvNeXt(const ConvNeXtOptions& options)
    : stem_(register_module("stem", make_stem(options.channels[0]))),
      channels_(options.channels.begin(), options.channels.end()) {
  std::optional<int64_t> in;
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    stages_->push_back(ConvNeXtStage(in, options.depths[i], channels_[i]));
    in = channels_[i];
  }
  register_module("stages", stages_);
  init_layers(*this, [](auto& layer) { init_normal(layer); });
}

at::Tensor ConvNeXt::stage(std::size_t index, const at::Tensor& x_bchw) {
  const auto x_bhwc = index == 0 ? apply_stem(stem_, x_bchw) : to_channels_last(x_bchw);
  return to_channels_second(stages_->at<ConvNeXtStage>(index).forward(x_bhwc));
}

StageModules ConvNeXt::stage_modules(std::size_t index) const { return modules_of_stage(index, stem_.ptr(), stages_); }

Normalization ConvNeXt::normalization() const { return imagenet_normalization; }

std::vector<std::string> ConvNeXt::head_prefixes() const { return {"head."}; }

}  // namespace codmoe::backbone
