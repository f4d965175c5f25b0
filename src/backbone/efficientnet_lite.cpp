#include "codmoe/backbone/efficientnet_lite.h"

#include <ATen/ATen.h>
#include <torch/nn/modules/container/modulelist.h>

#include <algorithm>
#include <cmath>

#include "codmoe/nn/batch_norm_act.h"
#include "codmoe/nn/drop_path.h"
#include "codmoe/nn/init.h"

namespace codmoe::backbone {

namespace {

using ops::Activation;

/// One stage at width and depth 1.
struct Stage {
  int64_t blocks;
  int64_t kernel;
  int64_t stride;
  int64_t expansion;  ///< 1: depthwise-separable, without an expansion
  int64_t channels;
};
constexpr std::array<Stage, 7> stages{{{1, 3, 1, 1, 16},
                                       {2, 3, 2, 6, 24},
                                       {2, 5, 2, 6, 40},
                                       {3, 3, 2, 6, 80},
                                       {3, 5, 1, 6, 112},
                                       {4, 5, 2, 6, 192},
                                       {1, 3, 1, 6, 320}}};
constexpr std::array<std::size_t, 4> feature_stages{1, 2, 4, 6};
constexpr int64_t stem_channels = 32;

/// Of those that make a feature of the one before: the rest come up to feature_stages[feature].
std::size_t first_stage(std::size_t feature) { return feature == 0 ? 0 : feature_stages[feature - 1] + 1; }

/// The multiple of 8 nearest to `channels * width`, never less than 90 % of it.
int64_t scale_channels(int64_t channels, double width) {
  const double wanted = static_cast<double>(channels) * width;
  const auto rounded = std::max<int64_t>(8, static_cast<int64_t>(wanted + 4.0) / 8 * 8);
  return static_cast<double>(rounded) < 0.9 * wanted ? rounded + 8 : rounded;
}

/// The first and the last stage keep their depth.
int64_t scale_blocks(std::size_t stage, double depth) {
  const bool fixed = stage == 0 || stage + 1 == stages.size();
  return fixed ? stages[stage].blocks
               : static_cast<int64_t>(std::ceil(static_cast<double>(stages[stage].blocks) * depth));
}

nn::SameConv2d make_conv(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1, int64_t groups = 1) {
  return nn::SameConv2d(torch::nn::Conv2dOptions(in, out, kernel).stride(stride).groups(groups).bias(false));
}

torch::nn::BatchNorm2d make_norm(int64_t channels) {
  return torch::nn::BatchNorm2d(torch::nn::BatchNorm2dOptions(channels).eps(1e-3).momentum(0.1));
}

/// Depthwise convolution, then 1x1: timm's DepthwiseSeparableConv.
class DepthwiseSeparable : public torch::nn::Module {
 public:
  DepthwiseSeparable(int64_t in, int64_t out, int64_t kernel, int64_t stride)
      : skip_(stride == 1 && in == out),
        conv_dw_(register_module("conv_dw", make_conv(in, in, kernel, stride, in))),
        bn1_(register_module("bn1", make_norm(in))),
        conv_pw_(register_module("conv_pw", make_conv(in, out, 1))),
        bn2_(register_module("bn2", make_norm(out))),
        drop_path_(register_module("drop_path", nn::DropPath())) {}

  at::Tensor forward(const at::Tensor& x_bchw) {
    auto y = nn::batch_norm_act(*bn1_, conv_dw_(x_bchw), Activation::relu6);
    y = nn::batch_norm_act(*bn2_, conv_pw_(y));
    return skip_ ? drop_path_(y) + x_bchw : y;
  }

 private:
  bool skip_;
  nn::SameConv2d conv_dw_;
  torch::nn::BatchNorm2d bn1_;
  nn::SameConv2d conv_pw_;
  torch::nn::BatchNorm2d bn2_;
  nn::DropPath drop_path_;
};

/// 1x1 expansion, depthwise convolution, 1x1 projection (Sandler et al. 2018): timm's InvertedResidual.
class InvertedResidual : public torch::nn::Module {
 public:
  InvertedResidual(int64_t in, int64_t out, const Stage& stage, int64_t stride)
      : skip_(stride == 1 && in == out),
        conv_pw_(register_module("conv_pw", make_conv(in, in * stage.expansion, 1))),
        bn1_(register_module("bn1", make_norm(in * stage.expansion))),
        conv_dw_(register_module("conv_dw", make_conv(in * stage.expansion, in * stage.expansion, stage.kernel, stride,
                                                      in * stage.expansion))),
        bn2_(register_module("bn2", make_norm(in * stage.expansion))),
        conv_pwl_(register_module("conv_pwl", make_conv(in * stage.expansion, out, 1))),
        bn3_(register_module("bn3", make_norm(out))),
        drop_path_(register_module("drop_path", nn::DropPath())) {}

  at::Tensor forward(const at::Tensor& x_bchw) {
    auto y = nn::batch_norm_act(*bn1_, conv_pw_(x_bchw), Activation::relu6);
    y = nn::batch_norm_act(*bn2_, conv_dw_(y), Activation::relu6);
    y = nn::batch_norm_act(*bn3_, conv_pwl_(y));
    return skip_ ? drop_path_(y) + x_bchw : y;
  }

 private:
  bool skip_;
  nn::SameConv2d conv_pw_;
  torch::nn::BatchNorm2d bn1_;
  nn::SameConv2d conv_dw_;
  torch::nn::BatchNorm2d bn2_;
  nn::SameConv2d conv_pwl_;
  torch::nn::BatchNorm2d bn3_;
  nn::DropPath drop_path_;
};

/// Only the first block of a stage changes stride and channels.
torch::nn::Sequential make_stage(const Stage& stage, int64_t blocks, int64_t in, int64_t out) {
  torch::nn::Sequential sequence;
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t block_in = i == 0 ? in : out;
    const int64_t stride = i == 0 ? stage.stride : 1;
    if (stage.expansion == 1) {
      sequence->push_back(DepthwiseSeparable(block_in, out, stage.kernel, stride));
    } else {
      sequence->push_back(InvertedResidual(block_in, out, stage, stride));
    }
  }
  return sequence;
}

}  // namespace

EfficientNetLite::EfficientNetLite(const EfficientNetLiteOptions& options)
    : conv_stem_(register_module("conv_stem", make_conv(3, stem_channels, 3, 2))),
      bn1_(register_module("bn1", make_norm(stem_channels))) {
  torch::nn::ModuleList blocks;
  int64_t in = stem_channels;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const int64_t out = scale_channels(stages[i].channels, options.width);
    stages_.push_back(make_stage(stages[i], scale_blocks(i, options.depth), in, out));
    blocks->push_back(stages_.back());
    if (std::ranges::count(feature_stages, i) > 0) channels_.push_back(out);
    in = out;
  }
  register_module("blocks", blocks);
  nn::init_fan_out(*this);
}

at::Tensor EfficientNetLite::stage(std::size_t index, const at::Tensor& x_bchw) {
  auto x = index == 0 ? nn::batch_norm_act(*bn1_, conv_stem_(x_bchw), Activation::relu6) : x_bchw;
  for (auto i = first_stage(index); i <= feature_stages[index]; ++i) x = stages_[i]->forward(x);
  return x;
}

StageModules EfficientNetLite::stage_modules(std::size_t index) const {
  StageModules modules;
  for (auto i = first_stage(index); i <= feature_stages[index]; ++i) modules.push_back(stages_[i].ptr());
  if (index == 0) modules.insert(modules.end(), {conv_stem_.ptr(), bn1_.ptr()});
  return modules;
}

double EfficientNetLite::drop_path_share(std::size_t block, std::size_t blocks) const {
  return static_cast<double>(block) / static_cast<double>(blocks);
}

Normalization EfficientNetLite::normalization() const { return {.mean = {0.5, 0.5, 0.5}, .std = {0.5, 0.5, 0.5}}; }

std::vector<std::string> EfficientNetLite::head_prefixes() const { return {"conv_head.", "bn2.", "classifier."}; }

}  // namespace codmoe::backbone
