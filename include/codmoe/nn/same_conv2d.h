// Convolution with TensorFlow's SAME padding: weights trained in TensorFlow expect it.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

namespace codmoe::nn {

/// Conv2d whose output is [ceil(H / stride), ceil(W / stride)]: zeros are added for the input's size at hand, and where
/// their number is odd the last row or column gets one more. The options' own padding must be 0. Source: TensorFlow's
/// padding="SAME" (tf.nn.conv2d).
class SameConv2dImpl : public torch::nn::Conv2dImpl {
 public:
  using torch::nn::Conv2dImpl::Conv2dImpl;

  /// x: [B, C, H, W], any dtype and memory format that the weight has. @throws c10::Error for other channels or dtype.
  at::Tensor forward(const at::Tensor& x_bchw);

 private:
  bool is_depthwise() const;
};
TORCH_MODULE(SameConv2d);

}  // namespace codmoe::nn
