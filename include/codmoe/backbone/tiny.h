// A backbone of 0.13 million parameters, for the demo and the tests: fit to learn texture from scratch on a CPU.
#pragma once

#include <torch/nn/modules/container/sequential.h>

#include "codmoe/backbone/backbone.h"

namespace codmoe::backbone {

/// Widths of the parts.
struct TinyOptions {
  int64_t stem = 16;                              ///< channels at stride 2
  std::vector<int64_t> channels{24, 40, 64, 96};  ///< at strides 4, 8, 16, 32
};

/// A stem at stride 2, then four stages, each a 3x3 convolution of stride 2 and a residual block: plain 3x3 at strides
/// 4 and 8, where texture lives; depthwise 5x5 and 1x1 at 16 and 32, for reach at little cost. Batch norm and ReLU.
/// Shapes, dtype and errors: backbone.h. Source: codmoe's own.
class Tiny : public Backbone {
 public:
  /// @throws c10::Error where options.channels are not four.
  explicit Tiny(const TinyOptions& options = {});

  at::Tensor stage(std::size_t index, const at::Tensor& x_bchw) override;
  StageModules stage_modules(std::size_t index) const override;
  std::vector<int64_t> channels() const override { return channels_; }
  Normalization normalization() const override;

 private:
  torch::nn::Sequential stem_{nullptr};
  std::vector<torch::nn::Sequential> stages_;
  std::vector<int64_t> channels_;
};

}  // namespace codmoe::backbone
