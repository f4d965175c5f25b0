// The block that most of the detector is made of.
#pragma once

#include <torch/nn/modules/conv.h>

#include "codmoe/nn/norm.h"

namespace codmoe::nn {

/// A convolution of odd kernel with `same` zero padding, stride 1: [B, in, H, W] -> [B, out, H, W].
struct ConvShape {
  int64_t in = 0;        ///< channels read
  int64_t out = 0;       ///< channels written
  int64_t kernel = 1;    ///< taps along each axis, odd
  int64_t dilation = 1;  ///< positions from one tap to the next
  int64_t groups = 1;    ///< must divide `in` and `out`; `in` of them: depthwise
};

/// Parameters `weight` [out, in / groups, kernel, kernel] and, with `bias`, `bias` [out], by PyTorch's initialisation.
/// @throws c10::Error where the groups don't divide the channels.
torch::nn::Conv2d make_conv(const ConvShape& shape, bool bias);

/// cna(in, out, kernel, dilation): convolution without bias, norm, exact GELU. [B, in, H, W] -> [B, out, H, W], of the
/// weights' dtype. Parameters `conv.weight`, `norm.*`. Source: GELU by Hendrycks and Gimpel 2016, with erf.
class ConvNormActImpl : public torch::nn::Module {
 public:
  ConvNormActImpl(const ConvShape& shape, NormKind norm);
  /// `mask_b` as in NormImpl::forward().
  at::Tensor forward(const at::Tensor& x_bchw, const SampleMask& mask_b = std::nullopt);
  bool has_pointwise_norm() const { return norm_->is_pointwise(); }

 private:
  torch::nn::Conv2d conv_;
  Norm norm_;
};
TORCH_MODULE(ConvNormAct);

}  // namespace codmoe::nn
