#include "codmoe/nn/same_conv2d.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "codmoe/ops/depthwise_conv.h"

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
  const ops::Border border{rows / 2, rows - rows / 2, columns / 2, columns - columns / 2};
  if (is_depthwise()) return ops::depthwise_conv(x_bchw, weight, stride[0], border);
  return ops::convolve_with_border(x_bchw, weight, bias, stride, border, dilation, options.groups());
}

bool SameConv2dImpl::is_depthwise() const {
  const auto same = [](const torch::ExpandingArray<2>& value) { return value->at(0) == value->at(1); };
  return options.groups() == options.in_channels() && options.in_channels() == options.out_channels() &&
         !options.bias() && same(options.kernel_size()) && same(options.stride()) && options.dilation()->at(0) == 1 &&
         same(options.dilation());
}

}  // namespace codmoe::nn
