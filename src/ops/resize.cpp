#include "codmoe/ops/resize.h"

#include <ATen/ATen.h>

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "cuda/resize.h"
#include "cuda_call.h"
#endif

namespace codmoe::ops {

#ifdef CODMOE_CUDA

namespace {

/// The gradient of resizing axis `axis` (a dimension in the order of memory) from `from` positions.
at::Tensor axis_backward(const at::Tensor& grad, int64_t axis, int64_t from) {
  if (grad.size(axis) == from) return grad;
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

cuda::ResizedMap describe(const at::Tensor& x_bchw, int64_t height, int64_t width) {
  const auto size = [](int64_t count) { return static_cast<int>(count); };
  const auto scale = [](int64_t from, int64_t to) { return static_cast<float>(from) / static_cast<float>(to); };
  return {.batch = size(x_bchw.size(0)),
          .channels = size(x_bchw.size(1)),
          .height = size(x_bchw.size(2)),
          .width = size(x_bchw.size(3)),
          .to_height = size(height),
          .to_width = size(width),
          .scale_height = scale(x_bchw.size(2), height),
          .scale_width = scale(x_bchw.size(3), width),
          .bfloat16 = is_bfloat16(x_bchw)};
}

bool is_aligned_channels_last(const at::Tensor& x_bchw) {
  return x_bchw.is_contiguous(at::MemoryFormat::ChannelsLast) && is_aligned(x_bchw);
}

/// onto + resized x; without `onto` the latter alone.
at::Tensor resize_and_add(const at::Tensor& x_bchw, const at::Tensor& onto_bchw, int64_t height, int64_t width) {
  const auto map = describe(x_bchw, height, width);
  const bool fits = is_aligned_channels_last(x_bchw) && (!onto_bchw.defined() || is_aligned_channels_last(onto_bchw));
  if (!fits || !cuda::resize_takes(map)) {
    const auto resized = at::upsample_bilinear2d(x_bchw, {height, width}, /*align_corners=*/false);
    return onto_bchw.defined() ? onto_bchw + resized : resized;
  }
  auto y_bchw = at::empty({x_bchw.size(0), x_bchw.size(1), height, width},
                          x_bchw.options().memory_format(at::MemoryFormat::ChannelsLast));
  C10_CUDA_CHECK(cuda::resize_forward(map, x_bchw.const_data_ptr(),
                                      onto_bchw.defined() ? onto_bchw.const_data_ptr() : nullptr,
                                      y_bchw.mutable_data_ptr(), at::cuda::getCurrentCUDAStream().stream()));
  return y_bchw;
}

class Resize : public torch::autograd::Function<Resize> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x_bchw,
                            const std::optional<at::Tensor>& onto_bchw, int64_t height, int64_t width) {
    const c10::cuda::CUDAGuard guard(x_bchw.device());
    // Autocast would have float32 maps of bfloat16 ones; sums are in float32 in either case.
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::DispatchKey::AutocastCUDA);
    context->saved_data["height"] = x_bchw.size(2);
    context->saved_data["width"] = x_bchw.size(3);
    context->saved_data["onto"] = onto_bchw.has_value();
    return resize_and_add(x_bchw, onto_bchw.value_or(at::Tensor()), height, width);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    refuse_second_derivative("resize_bilinear");
    const c10::cuda::CUDAGuard guard(gradients[0].device());
    const auto onto = context->saved_data["onto"].toBool() ? gradients[0] : at::Tensor();
    if (!context->needs_input_grad(0)) return {at::Tensor(), onto, {}, {}};
    const auto height = context->saved_data["height"].toInt(), width = context->saved_data["width"].toInt();
    // One axis after the other, as the map lies in memory.
    if (gradients[0].suggest_memory_format() == at::MemoryFormat::ChannelsLast) {
      const auto grad_bhwc = aligned(gradients[0].permute({0, 2, 3, 1}));
      return {axis_backward(axis_backward(grad_bhwc, 2, width), 1, height).permute({0, 3, 1, 2}), onto, {}, {}};
    }
    return {axis_backward(axis_backward(aligned(gradients[0]), 3, width), 2, height), onto, {}, {}};
  }
};

bool takes_kernel(const at::Tensor& x_bchw) {
  return x_bchw.is_cuda() && is_kernel_type(x_bchw.scalar_type()) && x_bchw.numel() > 0;
}

}  // namespace

#endif

at::Tensor resize_bilinear(const at::Tensor& x_bchw, int64_t height, int64_t width) {
  TORCH_CHECK(x_bchw.dim() == 4, "resize_bilinear: x must be [B, C, H, W], not ", x_bchw.sizes());
  TORCH_CHECK(height > 0 && width > 0, "resize_bilinear: to a size above 0, not ", height, " x ", width);
  if (x_bchw.size(2) == height && x_bchw.size(3) == width) return x_bchw;
#ifdef CODMOE_CUDA
  if (takes_kernel(x_bchw)) return Resize::apply(x_bchw, std::optional<at::Tensor>(), height, width);
#endif
  return at::upsample_bilinear2d(x_bchw, {height, width}, /*align_corners=*/false);
}

at::Tensor add_resized(const at::Tensor& onto_bchw, const at::Tensor& x_bchw) {
  TORCH_CHECK(onto_bchw.dim() == 4 && x_bchw.dim() == 4 &&
                  onto_bchw.sizes().slice(0, 2) == x_bchw.sizes().slice(0, 2) &&
                  onto_bchw.scalar_type() == x_bchw.scalar_type(),
              "add_resized: both must be [B, C, H, W] of one dtype, not ", onto_bchw.sizes(), " and ", x_bchw.sizes());
  const auto height = onto_bchw.size(2), width = onto_bchw.size(3);
  TORCH_CHECK(height > 0 && width > 0, "add_resized: to a size above 0, not ", height, " x ", width);
#ifdef CODMOE_CUDA
  if (takes_kernel(x_bchw) && onto_bchw.device() == x_bchw.device())
    return Resize::apply(x_bchw, std::optional(onto_bchw), height, width);
#endif
  return onto_bchw + resize_bilinear(x_bchw, height, width);
}

}  // namespace codmoe::ops
