#include "codmoe/nn/same_conv2d.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>

namespace codmoe::nn {

namespace {

/// Zeros that one dimension needs, before and after together.
int64_t same_padding(int64_t size, int64_t kernel, int64_t stride, int64_t dilation) {
  const int64_t outputs = (size + stride - 1) / stride;
  return std::max<int64_t>((outputs - 1) * stride + (kernel - 1) * dilation + 1 - size, 0);
}

}  // namespace

at::Tensor SameConv2dImpl::forward(const at::Tensor& x_bchw) {
  const auto& kernel = *options.kernel_size();
  const auto& stride = *options.stride();
  const auto& dilation = *options.dilation();
  const auto rows = same_padding(x_bchw.size(2), kernel[0], stride[0], dilation[0]);
  const auto columns = same_padding(x_bchw.size(3), kernel[1], stride[1], dilation[1]);
  const bool symmetric = rows % 2 == 0 && columns % 2 == 0;  // then the convolution pads by itself, without a copy
  const auto padded =
      symmetric ? x_bchw : at::constant_pad_nd(x_bchw, {columns / 2, columns - columns / 2, rows / 2, rows - rows / 2});
  const std::array<int64_t, 2> padding{symmetric ? rows / 2 : 0, symmetric ? columns / 2 : 0};
  return at::conv2d(padded, weight, bias, stride, padding, dilation, options.groups());
}

}  // namespace codmoe::nn
