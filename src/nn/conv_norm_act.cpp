#include "codmoe/nn/conv_norm_act.h"

namespace codmoe::nn {

torch::nn::Conv2d make_conv(const ConvShape& shape, bool bias) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(shape.in, shape.out, shape.kernel)
                               .padding(shape.dilation * (shape.kernel / 2))
                               .dilation(shape.dilation)
                               .groups(shape.groups)
                               .bias(bias));
}

ConvNormActImpl::ConvNormActImpl(const ConvShape& shape, NormKind norm)
    : conv_(register_module("conv", make_conv(shape, /*bias=*/false))),
      norm_(register_module("norm", Norm(norm, shape.out))) {}

at::Tensor ConvNormActImpl::forward(const at::Tensor& x_bchw, const SampleMask& mask_b) {
  return norm_->forward(conv_->forward(x_bchw), mask_b, ops::Activation::gelu);
}

}  // namespace codmoe::nn
