#include "codmoe/ops/border.h"

#include <ATen/ATen.h>

#include <array>

namespace codmoe::ops {

at::Tensor convolve_with_border(const at::Tensor& x_bchw, const at::Tensor& weight, const at::Tensor& bias,
                                at::IntArrayRef stride, const Border& border, at::IntArrayRef dilation,
                                int64_t groups) {
  const bool symmetric = border.top == border.bottom && border.left == border.right;
  const auto padded =
      symmetric ? x_bchw : at::constant_pad_nd(x_bchw, {border.left, border.right, border.top, border.bottom});
  const std::array<int64_t, 2> padding{symmetric ? border.top : 0, symmetric ? border.left : 0};
  return at::conv2d(padded, weight, bias, stride, padding, dilation, groups);
}

}  // namespace codmoe::ops
