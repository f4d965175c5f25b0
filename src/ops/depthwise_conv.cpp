#include "codmoe/ops/depthwise_conv.h"

#include <ATen/ATen.h>

#include <limits>

#include "codmoe/ops/linear.h"

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cuda/depthwise_conv.h"
#include "cuda_call.h"
#endif

namespace codmoe::ops {

namespace {

#ifdef CODMOE_CUDA

class DepthwiseConv : public torch::autograd::Function<DepthwiseConv> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x_bchw,
                            const at::Tensor& weight, int64_t stride, const Border& border) {
    const c10::cuda::CUDAGuard guard(x_bchw.device());
    const auto conv = describe(x_bchw, weight, stride, border);
    const auto y_bchw = at::empty({conv.batch, conv.channels, conv.out_height, conv.out_width},
                                  x_bchw.options().memory_format(at::MemoryFormat::ChannelsLast));
    C10_CUDA_CHECK(cuda::depthwise_conv_forward(conv, x_bchw.const_data_ptr(), y_bchw.mutable_data_ptr(),
                                                at::cuda::getCurrentCUDAStream().stream()));
    context->save_for_backward({x_bchw, weight});
    context->saved_data["shape"] = std::vector<int64_t>{stride, border.top, border.bottom, border.left, border.right};
    return y_bchw;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    refuse_second_derivative("depthwise_conv");
    const auto saved = context->get_saved_variables();
    const auto &x_bchw = saved[0], &weight = saved[1];
    const c10::cuda::CUDAGuard guard(x_bchw.device());
    const auto shape = context->saved_data["shape"].toIntVector();
    const auto conv = describe(x_bchw, weight, shape[0], {shape[1], shape[2], shape[3], shape[4]});
    const auto grad_y = aligned(gradients[0].to(x_bchw.scalar_type()), at::MemoryFormat::ChannelsLast);
    const auto stream = at::cuda::getCurrentCUDAStream().stream();
    at::Tensor grad_x, grad_weight;
    if (context->needs_input_grad(0)) {
      grad_x = at::empty_like(x_bchw);
      C10_CUDA_CHECK(
          cuda::depthwise_conv_input_gradient(conv, grad_y.const_data_ptr(), grad_x.mutable_data_ptr(), stream));
    }
    if (context->needs_input_grad(1)) {
      const auto taps = weight.size(2) * weight.size(3);
      const auto partial = at::empty({cuda::depthwise_conv_parts(conv), taps, conv.channels}, weight.options());
      const auto sums = at::empty({taps, conv.channels}, weight.options());
      C10_CUDA_CHECK(cuda::depthwise_conv_weight_gradient(conv, x_bchw.const_data_ptr(), grad_y.const_data_ptr(),
                                                          partial.mutable_data_ptr<float>(),
                                                          sums.mutable_data_ptr<float>(), stream));
      grad_weight = sums.t().reshape(weight.sizes());
    }
    return {grad_x, grad_weight, {}, {}};
  }

 private:
  static cuda::DepthwiseConv describe(const at::Tensor& x_bchw, const at::Tensor& weight, int64_t stride,
                                      const Border& border) {
    const auto kernel = weight.size(2);
    return {.batch = x_bchw.size(0),
            .height = x_bchw.size(2),
            .width = x_bchw.size(3),
            .out_height = (x_bchw.size(2) + border.top + border.bottom - kernel) / stride + 1,
            .out_width = (x_bchw.size(3) + border.left + border.right - kernel) / stride + 1,
            .channels = x_bchw.size(1),
            .kernel = static_cast<int>(kernel),
            .stride = static_cast<int>(stride),
            .top = static_cast<int>(border.top),
            .left = static_cast<int>(border.left),
            .bfloat16 = is_bfloat16(x_bchw),
            .weight = weight.const_data_ptr<float>()};
  }
};

bool takes_kernel(const at::Tensor& x_bchw, const at::Tensor& weight, int64_t stride, const Border& border) {
  const auto kernel = weight.size(2);
  const bool has_output = x_bchw.size(2) + border.top + border.bottom >= kernel &&
                          x_bchw.size(3) + border.left + border.right >= kernel && x_bchw.numel() > 0;
  return x_bchw.is_cuda() && is_kernel_type(product_type(x_bchw)) && (kernel == 3 || kernel == 5) &&
         (stride == 1 || stride == 2) && x_bchw.size(1) % 8 == 0 && has_output &&
         x_bchw.size(1) * x_bchw.size(3) <= std::numeric_limits<int32_t>::max() &&
         x_bchw.numel() / x_bchw.size(1) <= std::numeric_limits<int32_t>::max() / 4 &&
         x_bchw.is_contiguous(at::MemoryFormat::ChannelsLast);
}

#endif

}  // namespace

at::Tensor depthwise_conv(const at::Tensor& x_bchw, const at::Tensor& weight, int64_t stride, const Border& border) {
  TORCH_CHECK(x_bchw.dim() == 4 && weight.dim() == 4 && weight.size(0) == x_bchw.size(1) && weight.size(1) == 1 &&
                  weight.size(2) == weight.size(3),
              "depthwise_conv: of x [B, C, H, W] the weight must be [C, 1, K, K], not ", x_bchw.sizes(), " and ",
              weight.sizes());
  TORCH_CHECK(weight.device() == x_bchw.device(), "depthwise_conv: the weight must be on ", x_bchw.device());
#ifdef CODMOE_CUDA
  if (takes_kernel(x_bchw, weight, stride, border)) {
    return DepthwiseConv::apply(aligned(x_bchw.to(product_type(x_bchw)), at::MemoryFormat::ChannelsLast),
                                weight.to(at::kFloat).contiguous(), stride, border);
  }
#endif
  return convolve_with_border(x_bchw, weight, /*bias=*/{}, stride, border, /*dilation=*/1, /*groups=*/x_bchw.size(1));
}

}  // namespace codmoe::ops
