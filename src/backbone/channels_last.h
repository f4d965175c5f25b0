// What backbones share that have linear layers and layer norms between their convolutions.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/conv2d.h>
#include <c10/core/GradMode.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include "codmoe/backbone/backbone.h"
#include "codmoe/ops/bias.h"
#include "codmoe/ops/layer_norm.h"
#include "codmoe/ops/linear.h"

namespace codmoe::backbone {

// Between convolutions maps stay [B, H, W, C]: what linear layers and layer norms read, and seen as [B, C, H, W] it is
// channels-last memory, which convolutions take without a copy.
inline at::Tensor to_channels_second(const at::Tensor& x_bhwc) { return x_bhwc.permute({0, 3, 1, 2}); }
inline at::Tensor to_channels_last(const at::Tensor& x_bchw) { return x_bchw.permute({0, 2, 3, 1}); }

/// Over the last dimension, of `channels`.
inline torch::nn::LayerNorm make_layer_norm(int64_t channels, double eps) {
  return torch::nn::LayerNorm(torch::nn::LayerNormOptions({channels}).eps(eps));
}

inline at::Tensor apply_linear(const torch::nn::Linear& layer, const at::Tensor& x) {
  return ops::linear(x, layer->weight, layer->bias);
}

/// A convolution of [B, C, H, W] with a bias, which gets its gradient as ops::add_bias says, padded by numbers of
/// zeros.
inline at::Tensor apply_conv(const torch::nn::Conv2d& layer, const at::Tensor& x_bchw) {
  const auto& options = layer->options;
  const auto padding = std::get<torch::ExpandingArray<2>>(options.padding());
  return ops::add_bias(
      at::conv2d(x_bchw, layer->weight, {}, options.stride(), padding, options.dilation(), options.groups()),
      layer->bias);
}

/// x + branch, and its norm in `type`; `branch` may be undefined.
inline ops::NormedSum add_and_normalize(const torch::nn::LayerNorm& norm, const at::Tensor& x, const at::Tensor& branch,
                                        at::ScalarType type) {
  return ops::add_layer_norm(x, branch, {norm->weight, norm->bias, norm->options.eps()}, type);
}

/// What stage `index` of a backbone runs that is a stem and then `stages`.
inline StageModules modules_of_stage(std::size_t index, const std::shared_ptr<torch::nn::Module>& stem,
                                     const torch::nn::Sequential& stages) {
  StageModules modules{stages->ptr(index)};
  if (index == 0) modules.push_back(stem);
  return modules;
}

/// Linear layers from N(0, 0.02²), biases 0: as timm, whose truncation at ±2 is a hundred deviations away.
inline void init_linear(torch::nn::Module& module) {
  const c10::NoGradGuard no_grad;
  for (const auto& part : module.modules(/*include_self=*/false)) {
    if (auto* linear = part->as<torch::nn::LinearImpl>()) {
      linear->weight.normal_(0.0, 0.02);
      if (linear->bias.defined()) linear->bias.zero_();
    }
  }
}

/// The sum over the blocks of a stage, its last term not yet added (undefined before the first block): [B, H, W, C]
/// both. The norm that comes next adds it.
struct ResidualSum {
  at::Tensor x_bhwc, branch_bhwc;

  at::Tensor total() const { return branch_bhwc.defined() ? x_bhwc + branch_bhwc : x_bhwc; }
};

}  // namespace codmoe::backbone
