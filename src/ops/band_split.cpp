#include "codmoe/ops/band_split.h"

#include <ATen/ops/avg_pool2d.h>
#include <c10/util/Exception.h>
#include <torch/csrc/autograd/custom_function.h>

namespace codmoe::ops {

namespace {

/// Mean over a window of odd width, zero padding counted. Its gradient is the same filter of the gradient. LibTorch
/// 2.11's own backward forgets the padding of channels-last CUDA inputs and gives wrong gradients there
/// (github.com/pytorch/pytorch/issues/188344).
class Box : public torch::autograd::Function<Box> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x_bchw, int64_t width) {
    context->saved_data["width"] = width;
    return at::avg_pool2d(x_bchw, width, 1, width / 2);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    return {Box::apply(gradients[0], context->saved_data["width"].toInt()), at::Tensor()};
  }
};

}  // namespace

Bands band_split(const at::Tensor& x_bchw) {
  TORCH_CHECK(x_bchw.dim() == 4 && x_bchw.is_floating_point(),
              "band_split: x must be a floating [B, C, H, W] tensor, not ", x_bchw.scalar_type(), " of ",
              x_bchw.sizes());
  const auto low = Box::apply(x_bchw, 3);
  return {.low = low, .mid = low - Box::apply(x_bchw, 5), .high = x_bchw - low};
}

}  // namespace codmoe::ops
