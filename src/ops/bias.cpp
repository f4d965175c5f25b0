#include "codmoe/ops/bias.h"

#include <ATen/ATen.h>

#include "codmoe/ops/narrow_copies.h"

#ifdef CODMOE_CUDA
#include <torch/csrc/autograd/custom_function.h>

#include "bias_gradient.h"
#include "cuda_call.h"
#endif

namespace codmoe::ops {

namespace {

at::Tensor plain(const at::Tensor& y_bchw, const at::Tensor& bias_c) { return y_bchw + bias_c.view({1, -1, 1, 1}); }

#ifdef CODMOE_CUDA

class AddBias : public torch::autograd::Function<AddBias> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& y_bchw, const at::Tensor& bias_c) {
    return plain(y_bchw, NarrowCopies::of(bias_c, y_bchw.scalar_type()));
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    refuse_second_derivative("add_bias");
    const auto& grad_bchw = gradients[0];
    at::Tensor grad_bias;
    if (context->needs_input_grad(1)) {
      const auto channels = grad_bchw.size(1);
      grad_bias = bias_gradient(grad_bchw.permute({0, 2, 3, 1}).reshape({-1, channels}).contiguous());
    }
    return {grad_bchw, grad_bias};
  }
};

bool takes_kernel(const at::Tensor& y_bchw, const at::Tensor& bias_c) {
  return y_bchw.is_cuda() && is_kernel_type(y_bchw.scalar_type()) && bias_c.scalar_type() == at::kFloat &&
         bias_c.device() == y_bchw.device() && y_bchw.size(1) % 2 == 0 && y_bchw.numel() > 0 &&
         y_bchw.is_contiguous(at::MemoryFormat::ChannelsLast);
}

#endif

}  // namespace

at::Tensor add_bias(const at::Tensor& y_bchw, const at::Tensor& bias_c) {
  TORCH_CHECK(y_bchw.dim() == 4 && bias_c.sizes() == at::IntArrayRef({y_bchw.size(1)}),
              "add_bias: of y [B, C, H, W] the bias must be [C], not ", y_bchw.sizes(), " and ", bias_c.sizes());
#ifdef CODMOE_CUDA
  if (takes_kernel(y_bchw, bias_c)) return AddBias::apply(y_bchw, bias_c);
#endif
  return plain(y_bchw, bias_c.to(y_bchw.scalar_type()));
}

}  // namespace codmoe::ops
