#include "codmoe/ops/depthwise_gelu.h"

#include <ATen/ATen.h>

#include <limits>

#include "codmoe/ops/linear.h"

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include "cuda/depthwise_gelu.h"
#include "cuda_call.h"
#endif

namespace codmoe::ops {

namespace {

at::Tensor plain(const at::Tensor& x_bhwc, const at::Tensor& x_bias_c, const DepthwiseState& state) {
  const auto x_bchw = (x_bhwc + x_bias_c).permute({0, 3, 1, 2});
  const auto y_bchw = at::conv2d(x_bchw, state.weight, state.bias, 1, 1, 1, /*groups=*/x_bhwc.size(3));
  return at::gelu(y_bchw.permute({0, 2, 3, 1}));
}

#ifdef CODMOE_CUDA

class DepthwiseGelu : public torch::autograd::Function<DepthwiseGelu> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x_bhwc,
                            const at::Tensor& x_bias_c, const at::Tensor& weight, const at::Tensor& bias_c, bool keep) {
    const c10::cuda::CUDAGuard guard(x_bhwc.device());
    auto y_bhwc = at::empty_like(x_bhwc);
    const auto slope = keep ? at::empty_like(x_bhwc) : at::Tensor();
    C10_CUDA_CHECK(cuda::depthwise_gelu_forward(describe(x_bhwc, x_bias_c, weight, bias_c), y_bhwc.mutable_data_ptr(),
                                                keep ? slope.mutable_data_ptr() : nullptr,
                                                at::cuda::getCurrentCUDAStream().stream()));
    if (keep) context->save_for_backward({x_bhwc, x_bias_c, weight, bias_c, slope});
    return y_bhwc;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    refuse_second_derivative("depthwise_gelu");
    const auto saved = context->get_saved_variables();
    const auto& x_bhwc = saved[0];
    const c10::cuda::CUDAGuard guard(x_bhwc.device());
    const auto conv = describe(x_bhwc, saved[1], saved[2], saved[3]);
    const auto grad_y = aligned(gradients[0].to(x_bhwc.scalar_type()));
    auto grad_x = at::empty_like(x_bhwc);
    const auto options = x_bhwc.options().dtype(at::kFloat);
    const auto partial = at::empty({cuda::depthwise_gelu_parts(conv), cuda::kDepthwiseSums, conv.channels}, options);
    const auto sums = at::empty({cuda::kDepthwiseSums, conv.channels}, options);
    C10_CUDA_CHECK(cuda::depthwise_gelu_backward(
        conv,
        {.grad_y = grad_y.const_data_ptr(), .slope = saved[4].const_data_ptr(), .grad_x = grad_x.mutable_data_ptr()},
        partial.mutable_data_ptr<float>(), sums.mutable_data_ptr<float>(), at::cuda::getCurrentCUDAStream().stream()));
    const auto grad_weight = sums.narrow(0, 0, 9).t().reshape(saved[2].sizes());
    return {grad_x, sums[10], grad_weight, sums[9], {}};
  }

 private:
  static cuda::DepthwiseGelu describe(const at::Tensor& x_bhwc, const at::Tensor& x_bias_c, const at::Tensor& weight,
                                      const at::Tensor& bias_c) {
    return {.batch = x_bhwc.size(0),
            .height = x_bhwc.size(1),
            .width = x_bhwc.size(2),
            .channels = x_bhwc.size(3),
            .bfloat16 = is_bfloat16(x_bhwc),
            .x = x_bhwc.const_data_ptr(),
            .x_bias = x_bias_c.const_data_ptr<float>(),
            .bias = bias_c.const_data_ptr<float>(),
            .weight = weight.const_data_ptr<float>()};
  }
};

#endif

}  // namespace

at::Tensor depthwise_gelu(const at::Tensor& x_bhwc, const at::Tensor& x_bias_c, const DepthwiseState& state) {
  const auto channels = x_bhwc.size(-1);
  TORCH_CHECK(x_bhwc.dim() == 4 && state.weight.sizes() == at::IntArrayRef({channels, 1, 3, 3}) &&
                  state.bias.sizes() == at::IntArrayRef({channels}) && x_bias_c.sizes() == state.bias.sizes(),
              "depthwise_gelu: of x [B, H, W, C] the weight must be [C, 1, 3, 3] and the biases [C], not ",
              x_bhwc.sizes(), ", ", state.weight.sizes(), ", ", state.bias.sizes(), ", ", x_bias_c.sizes());
  TORCH_CHECK(state.weight.device() == x_bhwc.device() && state.bias.device() == x_bhwc.device() &&
                  x_bias_c.device() == x_bhwc.device(),
              "depthwise_gelu: everything must be on ", x_bhwc.device());
#ifdef CODMOE_CUDA
  const auto type = product_type(x_bhwc);
  if (x_bhwc.is_cuda() && is_kernel_type(type) && channels % 8 == 0 && x_bhwc.numel() > 0 &&
      channels * x_bhwc.size(2) <= std::numeric_limits<int32_t>::max()) {
    const auto x = aligned(x_bhwc.to(type)), weight = state.weight.to(at::kFloat).contiguous();
    const auto x_bias = aligned(x_bias_c.to(at::kFloat)), bias = aligned(state.bias.to(at::kFloat));
    const bool keep = torch::autograd::compute_requires_grad(x, x_bias, weight, bias);
    return DepthwiseGelu::apply(x, x_bias, weight, bias, keep);
  }
#endif
  return plain(x_bhwc, x_bias_c, state);
}

}  // namespace codmoe::ops
