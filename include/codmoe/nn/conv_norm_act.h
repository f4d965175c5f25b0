// The block that most of the detector is made of.
#pragma once

#include <torch/nn/modules/conv.h>

#include "codmoe/nn/norm.h"

namespace codmoe::nn {

/// A convolution of odd kernel with `same` zero padding, stride 1.
struct ConvShape {
  int64_t in = 0;
  int64_t out = 0;
  int64_t kernel = 1;
  int64_t dilation = 1;
  int64_t groups = 1;
};

torch::nn::Conv2d make_conv(const ConvShape& shape, bool bias);

/// cna(in, out, kernel, dilation): convolution without bias, norm, exact GELU. [B, in, H, W] -> [B, out, H, W].
class ConvNormActImpl : public torch::nn::Module {
 public:
  ConvNormActImpl(const ConvShape& shape, NormKind norm);
  at::Tensor forward(const at::Tensor& x_bchw, const SampleMask& mask_b = std::nullopt);
  bool has_pointwise_norm() const { return norm_->is_pointwise(); }

 private:
  torch::nn::Conv2d conv_;
  Norm norm_;
};
TORCH_MODULE(ConvNormAct);

}  // namespace codmoe::nn
