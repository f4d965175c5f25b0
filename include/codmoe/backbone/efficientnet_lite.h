// EfficientNet-Lite (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite; Tan & Le 2019,
// arXiv:1905.11946), as timm's tf_efficientnet_lite0 … lite4: no squeeze-and-excitation, ReLU6, stem and last stage of
// fixed depth, TensorFlow's SAME padding and batch norm with eps 1e-3. Module names are timm's state-dict keys.
#pragma once

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>

#include "codmoe/backbone/backbone.h"
#include "codmoe/nn/same_conv2d.h"

namespace codmoe::backbone {

/// Compound scaling: widths are rounded to multiples of 8, depths up.
struct EfficientNetLiteOptions {
  double width = 1.0;  ///< channel multiplier
  double depth = 1.0;  ///< multiplier of each stage's number of blocks
};

/// Shapes, dtype and errors: backbone.h.
class EfficientNetLite : public Backbone {
 public:
  explicit EfficientNetLite(const EfficientNetLiteOptions& options);

  /// Outputs of stages 1, 2, 4 and 6, as timm's features_only with out_indices (1, 2, 3, 4).
  at::Tensor stage(std::size_t index, const at::Tensor& x_bchw) override;
  StageModules stage_modules(std::size_t index) const override;
  std::vector<int64_t> channels() const override { return channels_; }
  Normalization normalization() const override;
  std::vector<std::string> head_prefixes() const override;

 protected:
  /// The last block stays below the rate, as in timm and TensorFlow.
  double drop_path_share(std::size_t block, std::size_t blocks) const override;

 private:
  nn::SameConv2d conv_stem_{nullptr};
  torch::nn::BatchNorm2d bn1_{nullptr};
  std::vector<torch::nn::Sequential> stages_;
  std::vector<int64_t> channels_;
};

}  // namespace codmoe::backbone
