// What every backbone is: images in, a feature pyramid out.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace codmoe::backbone {

/// Which backbone, and where its weights are.
struct BackboneOptions {
  std::string name = "tf_efficientnet_lite0";
  std::filesystem::path weights = {};  ///< safetensors file in timm's names; empty: random initialisation

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("name", name);
    visit("weights", weights);
  }
  /// @throws core::BadOption where no backbone has this name; it lists those there are.
  void check() const;
};

/// The colours a backbone was trained on: x = (rgb - mean) / std, with rgb in [0, 1].
struct Normalization {
  std::array<double, 3> mean{};
  std::array<double, 3> std{};
};
/// ImageNet's own colours, which most weights were trained on.
inline constexpr Normalization imagenet_normalization{.mean = {0.485, 0.456, 0.406}, .std = {0.229, 0.224, 0.225}};

/// A feature pyramid under timm's names.
class Backbone : public torch::nn::Module {
 public:
  /// Strides of the features, finest first.
  static constexpr std::array<int64_t, 4> strides{4, 8, 16, 32};

  using torch::nn::Module::Module;

  /// x: [B, 3, H, W], RGB normalised by normalization(), of the weights' dtype.
  /// Returns one feature a stride s: [B, channels, ceil(H/s), ceil(W/s)] of that dtype; where a family's header says
  /// so, floor for ceil.
  /// @throws c10::Error from LibTorch for another number of channels or dtype.
  virtual std::vector<at::Tensor> forward(const at::Tensor& x_bchw) = 0;

  /// Channels of each feature, finest first.
  virtual std::vector<int64_t> channels() const = 0;
  /// Of the images that the weights were trained on.
  virtual Normalization normalization() const = 0;

  /// Keys of a weights file that begin so belong to the classifier that the pyramid doesn't have.
  virtual std::vector<std::string> head_prefixes() const { return {}; }
};

}  // namespace codmoe::backbone
