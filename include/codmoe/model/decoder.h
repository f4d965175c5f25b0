// From a feature pyramid to mask logits.
#pragma once

#include <vector>

#include "codmoe/nn/conv_norm_act.h"

namespace codmoe::model {

/// The decoder's size.
struct DecoderOptions {
  int64_t width = 128;  ///< channels of every level
  nn::NormKind norm = nn::NormKind::batch;

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("width", width, core::at_least(1));
    visit("norm", norm);
  }
};

/// A feature pyramid network (Lin et al. 2017): lateral cna 1x1 a level, top-down bilinear upsampling + addition +
/// cna 3x3, and a 3x3 convolution to one logit at every level.
/// Parameters `lateral.N.*`, `smooth.N.*` (all levels but the coarsest), `head.N.*`, N = 0 the finest level.
class DecoderImpl : public torch::nn::Module {
 public:
  /// Channels of the features, finest first.
  DecoderImpl(const std::vector<int64_t>& channels, const DecoderOptions& options);
  /// Features [B, C_i, H_i, W_i], finest first -> logits [B, 1, H_i, W_i] of the same levels, of the weights' dtype.
  /// @throws c10::Error for another number of levels.
  std::vector<at::Tensor> forward(const std::vector<at::Tensor>& features);

 private:
  std::vector<nn::ConvNormAct> lateral_, smooth_;
  std::vector<torch::nn::Conv2d> head_;
};
TORCH_MODULE(Decoder);

}  // namespace codmoe::model
