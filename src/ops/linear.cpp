#include "codmoe/ops/linear.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>

#include <optional>

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/csrc/autograd/custom_function.h>

#include "bias_gradient.h"
#include "codmoe/ops/narrow_copies.h"
#include "cuda_call.h"
#endif

namespace codmoe::ops {

at::ScalarType product_type(const at::Tensor& x) {
  const auto device = x.device().type();
  if (x.scalar_type() == at::kDouble || !at::autocast::is_autocast_enabled(device)) return x.scalar_type();
  return at::autocast::get_autocast_dtype(device);
}

#ifdef CODMOE_CUDA

namespace {

/// a · b in float32: of bfloat16 the products' own sums, not rounded in between.
at::Tensor wide_product(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == at::kFloat ? at::mm(a, b) : at::mm(a, b, at::kFloat);
}

class Linear : public torch::autograd::Function<Linear> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias) {
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::DispatchKey::AutocastCUDA);
    const auto type = product_type(x);
    const auto narrow_x = x.to(type), narrow_weight = NarrowCopies::of(weight, type);
    context->save_for_backward({narrow_x, narrow_weight});
    context->saved_data["x"] = x.scalar_type();
    context->saved_data["bias"] = bias.has_value();
    return at::linear(narrow_x, narrow_weight, bias ? NarrowCopies::of(*bias, type) : at::Tensor());
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    refuse_second_derivative("linear");
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1];
    const auto grad_no = gradients[0].reshape({-1, weight.size(0)}).contiguous();
    at::Tensor grad_x, grad_weight, grad_bias;
    if (context->needs_input_grad(0)) {
      grad_x = at::mm(grad_no, weight).view(x.sizes()).to(context->saved_data["x"].toScalarType());
    }
    if (context->needs_input_grad(1)) grad_weight = wide_product(grad_no.t(), x.reshape({-1, x.size(-1)}));
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(2)) grad_bias = bias_gradient(grad_no);
    return {grad_x, grad_weight, grad_bias};
  }
};

bool takes_kernel(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return x.is_cuda() && at::GradMode::is_enabled() && is_kernel_type(product_type(x)) &&
         is_kernel_type(x.scalar_type()) && weight.scalar_type() == at::kFloat && weight.device() == x.device() &&
         (x.scalar_type() == at::kFloat || at::autocast::is_autocast_enabled(x.device().type())) &&
         weight.size(0) % 2 == 0 &&
         (!bias.defined() || (bias.scalar_type() == at::kFloat && bias.device() == x.device()));
}

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (!takes_kernel(x, weight, bias)) return at::linear(x, weight, bias);
  return Linear::apply(x, weight, bias.defined() ? std::optional(bias) : std::nullopt);
}

#else

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return at::linear(x, weight, bias);
}

#endif

}  // namespace codmoe::ops
