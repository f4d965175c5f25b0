// What every backbone is: images in, a feature pyramid out.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "codmoe/core/options.h"

namespace codmoe::backbone {

/// Which backbone, where its weights are, and how it is trained.
struct BackboneOptions {
  std::string name = "tf_efficientnet_lite0";
  std::filesystem::path weights = {};  ///< safetensors file in timm's names; empty: random initialisation
  double lr_scale = 1.0;               ///< its learning rate is optimizer.lr times this
  int64_t freeze_epochs = 0;           ///< epochs at the start in which it doesn't change
  int64_t unfreeze_every = 0;  ///< after these its stages thaw one by one, the deepest first, each so many epochs
                               ///< later; 0: all at once
  bool frozen_norm = false;    ///< batch norms keep the statistics, scales and shifts of the weights file throughout
  double drop_path = 0.0;  ///< stochastic depth (nn/drop_path.h): rate of the last block, linear from 0 at the first
  /// Strides of the stages whose activations are computed again in the backward pass, not kept (nn/checkpoint.h).
  std::vector<int64_t> checkpoint = {};

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("name", name);
    visit("weights", weights);
    visit("lr_scale", lr_scale, core::at_least(0.0));
    visit("freeze_epochs", freeze_epochs, core::at_least(0));
    visit("unfreeze_every", unfreeze_every, core::at_least(0));
    visit("frozen_norm", frozen_norm);
    visit("drop_path", drop_path, core::between(0.0, 1.0));
    visit("checkpoint", checkpoint);
  }
  /// @throws core::BadOption where no backbone has this name; it lists those there are. As check_strides() for
  ///   `checkpoint`.
  void check() const;
};

/// The colours a backbone was trained on: x = (rgb - mean) / std, with rgb in [0, 1].
struct Normalization {
  std::array<double, 3> mean{};
  std::array<double, 3> std{};
};
/// ImageNet's own colours, which most weights were trained on.
inline constexpr Normalization imagenet_normalization{.mean = {0.485, 0.456, 0.406}, .std = {0.229, 0.224, 0.225}};

/// What of a backbone holds still: it has no gradients, and stays in evaluation mode whatever train() says.
struct Frozen {
  std::size_t stages = 0;    ///< so many, from the first
  bool batch_norms = false;  ///< those of all stages
};

/// Modules of one stage, without those within them.
using StageModules = std::vector<std::shared_ptr<torch::nn::Module>>;

/// A feature pyramid under timm's names. It is made by std::make_shared.
class Backbone : public torch::nn::Module {
 public:
  /// Strides of the features, finest first.
  static constexpr std::array<int64_t, 4> strides{4, 8, 16, 32};

  using torch::nn::Module::Module;

  /// x: [B, 3, H, W], RGB normalised by normalization(), of the weights' dtype.
  /// Returns one feature a stride s: [B, channels, ceil(H/s), ceil(W/s)] of that dtype, in x's memory format; where a
  /// family's header says so, floor for ceil.
  /// @throws c10::Error from LibTorch for another number of channels or dtype.
  std::vector<at::Tensor> forward(const at::Tensor& x_bchw);

  /// Feature `index` (0 to 3) of x: of the image for 0, where the stem comes first, otherwise of the feature before. In
  /// whichever memory format the family computes it.
  virtual at::Tensor stage(std::size_t index, const at::Tensor& x_bchw) = 0;
  /// What stage(index, x) runs; every module of the backbone is in exactly one stage.
  virtual StageModules stage_modules(std::size_t index) const = 0;

  /// Channels of each feature, finest first.
  virtual std::vector<int64_t> channels() const = 0;
  /// Of the images that the weights were trained on.
  virtual Normalization normalization() const = 0;

  /// Keys of a weights file that begin so belong to the classifier that the pyramid doesn't have.
  virtual std::vector<std::string> head_prefixes() const { return {}; }

  /// Takes the place of what was frozen before.
  void freeze(const Frozen& frozen);
  const Frozen& frozen() const { return frozen_; }
  /// As torch::nn::Module; what is frozen stays in evaluation mode.
  void train(bool on = true) override;
  /// Whether freezing batch norms means anything.
  bool has_batch_norm() const;

  /// Rate of stochastic depth in the last block; see drop_path_share(). False, and nothing changes, where the blocks
  /// have none.
  bool set_drop_path(double rate);
  /// Whether a backward pass in training sets the random state, which a captured CUDA graph can't hold.
  bool restores_random_state() const;
  /// Strides of the stages of which forward() keeps the input alone. @throws core::BadOption as check_strides().
  void set_checkpoint(const std::vector<int64_t>& some);

 protected:
  /// Block `block` of `blocks` leaves its branch out at this share of the rate; the rule of timm for the family.
  virtual double drop_path_share(std::size_t block, std::size_t blocks) const;

 private:
  at::Tensor checkpointed_stage(std::size_t index, const at::Tensor& x_bchw);

  Frozen frozen_;
  bool draws_random_numbers_ = false;
  std::array<bool, strides.size()> checkpointed_{};
};

/// @throws core::BadOption naming `key` where `some` are not different ones of Backbone::strides.
void check_strides(const std::string& key, const std::vector<int64_t>& some);

}  // namespace codmoe::backbone
