#include "codmoe/ops/resize.h"

#include <ATen/ATen.h>

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cuda/resize.h"
#include "cuda_call.h"
#endif

namespace codmoe::ops {

#ifdef CODMOE_CUDA

namespace {

/// The gradient of resizing axis `axis` (a dimension in the order of memory) from `from` positions.
at::Tensor axis_backward(const at::Tensor& grad, int64_t axis, int64_t from) {
  const auto sizes = grad.sizes();
  auto result_sizes = sizes.vec();
  result_sizes[static_cast<std::size_t>(axis)] = from;
  auto result = at::empty(result_sizes, grad.options());
  const cuda::ResizedAxis resized{.outer = c10::multiply_integers(sizes.slice(0, static_cast<std::size_t>(axis))),
                                  .from = from,
                                  .to = grad.size(axis),
                                  .inner = c10::multiply_integers(sizes.slice(static_cast<std::size_t>(axis) + 1)),
                                  .scale = static_cast<float>(from) / static_cast<float>(grad.size(axis)),
                                  .bfloat16 = is_bfloat16(grad)};
  C10_CUDA_CHECK(cuda::resize_axis_backward(resized, grad.const_data_ptr(), result.mutable_data_ptr(),
                                            at::cuda::getCurrentCUDAStream().stream()));
  return result;
}

class Resize : public torch::autograd::Function<Resize> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x_bchw, int64_t height,
                            int64_t width) {
    // Autocast would have float32 maps of bfloat16 ones; sums are in float32 in either case.
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::DispatchKey::AutocastCUDA);
    context->saved_data["height"] = x_bchw.size(2);
    context->saved_data["width"] = x_bchw.size(3);
    return at::upsample_bilinear2d(x_bchw, {height, width}, /*align_corners=*/false);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    refuse_second_derivative("resize_bilinear");
    const c10::cuda::CUDAGuard guard(gradients[0].device());
    const auto height = context->saved_data["height"].toInt(), width = context->saved_data["width"].toInt();
    // One axis after the other, as the map lies in memory.
    if (gradients[0].suggest_memory_format() == at::MemoryFormat::ChannelsLast) {
      const auto grad_bhwc = gradients[0].permute({0, 2, 3, 1}).contiguous();
      return {axis_backward(axis_backward(grad_bhwc, 2, width), 1, height).permute({0, 3, 1, 2}), {}, {}};
    }
    return {axis_backward(axis_backward(gradients[0].contiguous(), 3, width), 2, height), {}, {}};
  }
};

}  // namespace

#endif

at::Tensor resize_bilinear(const at::Tensor& x_bchw, int64_t height, int64_t width) {
  TORCH_CHECK(x_bchw.dim() == 4, "resize_bilinear: x must be [B, C, H, W], not ", x_bchw.sizes());
  if (x_bchw.size(2) == height && x_bchw.size(3) == width) return x_bchw;
#ifdef CODMOE_CUDA
  if (x_bchw.is_cuda() && is_kernel_type(x_bchw.scalar_type()) && x_bchw.numel() > 0)
    return Resize::apply(x_bchw, height, width);
#endif
  return at::upsample_bilinear2d(x_bchw, {height, width}, /*align_corners=*/false);
}

}  // namespace codmoe::ops
