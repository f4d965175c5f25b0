// What ConvNeXt and EdgeNeXt share: patches that halve the map, depthwise convolutions, feed-forward layers. Swin has
// the patches and the feed-forward layers too.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include "channels_last.h"

namespace codmoe::backbone {

constexpr double convnext_eps = 1e-6;  ///< of layer norms

inline torch::nn::Conv2d make_patch_conv(int64_t in, int64_t out, int64_t size) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, size).stride(size));
}

inline torch::nn::Conv2d make_depthwise_conv(int64_t channels, int64_t kernel) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(channels, channels, kernel).padding(kernel / 2).groups(channels));
}

/// Layer scale (Touvron et al. 2021, arXiv:2103.17239) lets every branch begin near 0.
inline at::Tensor initial_gamma(int64_t channels) { return at::full({channels}, 1e-6); }

/// [B, H, W, C] -> [B, H, W, C], through four times the channels.
class ConvNeXtMlp : public torch::nn::Module {
 public:
  explicit ConvNeXtMlp(int64_t channels)
      : fc1_(register_module("fc1", torch::nn::Linear(channels, 4 * channels))),
        fc2_(register_module("fc2", torch::nn::Linear(4 * channels, channels))) {}

  at::Tensor forward(const at::Tensor& x_bhwc) { return fc2_(at::gelu(fc1_(x_bhwc))); }

 private:
  torch::nn::Linear fc1_, fc2_;
};

/// Layers of the stem, [B, 3, H, W] -> [B, H/4, W/4, C]: apply_stem runs them.
inline torch::nn::Sequential make_stem(int64_t channels) {
  return torch::nn::Sequential(make_patch_conv(3, channels, 4), make_layer_norm(channels, convnext_eps));
}

inline at::Tensor apply_stem(torch::nn::Sequential& stem, const at::Tensor& x_bchw) {
  const auto patches_bchw = stem[0]->as<torch::nn::Conv2d>()->forward(x_bchw);
  return stem[1]->as<torch::nn::LayerNorm>()->forward(to_channels_last(patches_bchw));
}

/// Layers that halve the map, [B, H, W, in] -> [B, H/2, W/2, out]: apply_downsample runs them.
inline torch::nn::Sequential make_downsample(int64_t in, int64_t out) {
  return torch::nn::Sequential(make_layer_norm(in, convnext_eps), make_patch_conv(in, out, 2));
}

inline at::Tensor apply_downsample(torch::nn::Sequential& downsample, const at::Tensor& x_bhwc) {
  const auto y_bhwc = downsample[0]->as<torch::nn::LayerNorm>()->forward(x_bhwc);
  return to_channels_last(downsample[1]->as<torch::nn::Conv2d>()->forward(to_channels_second(y_bhwc)));
}

/// Calls init(layer) for every convolution and linear layer within.
template <class Init>
void init_layers(torch::nn::Module& module, Init&& init) {
  const c10::NoGradGuard no_grad;
  for (const auto& part : module.modules(/*include_self=*/false)) {
    if (auto* conv = part->as<torch::nn::Conv2dImpl>()) init(*conv);
    if (auto* linear = part->as<torch::nn::LinearImpl>()) init(*linear);
  }
}

}  // namespace codmoe::backbone
