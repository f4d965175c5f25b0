#include "codmoe/ops/pixel_weights.h"

#include <ATen/ATen.h>

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include "cuda/pixel_weights.h"
#endif

namespace codmoe::ops {

namespace {

/// The window is separable: two passes of `window` taps instead of window^2.
at::Tensor plain(const at::Tensor& mask, int64_t window, double weight) {
  const auto half = window / 2;
  const auto columns = at::avg_pool2d(mask, {window, 1}, {1, 1}, {half, 0});
  const auto mean = at::avg_pool2d(columns, {1, window}, {1, 1}, {0, half});
  return 1 + weight * (mean - mask).abs();
}

}  // namespace

at::Tensor pixel_weights(const at::Tensor& mask_b1hw, int64_t window, double weight) {
  TORCH_CHECK(mask_b1hw.dim() == 4 && mask_b1hw.size(1) == 1, "pixel_weights: the mask must be [B, 1, H, W], not ",
              mask_b1hw.sizes());
  TORCH_CHECK(window > 0 && window % 2 == 1, "pixel_weights: the window must be odd, not ", window);
  const auto mask = mask_b1hw.detach();
#ifdef CODMOE_CUDA
  if (mask.is_cuda() && mask.scalar_type() == at::kFloat && mask.numel() > 0 && window <= cuda::kMaxWindow) {
    const c10::cuda::CUDAGuard guard(mask.device());
    const auto dense = mask.contiguous();
    auto weights = at::empty_like(dense);
    C10_CUDA_CHECK(cuda::pixel_weights({.images = dense.size(0),
                                        .height = static_cast<int>(dense.size(2)),
                                        .width = static_cast<int>(dense.size(3)),
                                        .half = static_cast<int>(window / 2),
                                        .weight = static_cast<float>(weight)},
                                       dense.const_data_ptr<float>(), weights.mutable_data_ptr<float>(),
                                       at::cuda::getCurrentCUDAStream().stream()));
    return weights;
  }
#endif
  return plain(mask, window, weight);
}

}  // namespace codmoe::ops
