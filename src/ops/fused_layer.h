// What the host tells the fused kernels of both kinds in the same way.
#pragma once

#include <ATen/ATen.h>

#include "codmoe/ops/fused_moe.h"
#include "cuda/fused_moe.h"
#include "fused_widths.h"

namespace codmoe::ops {

/// What the kernels compute with: x with zeros as further channels, the router without weight for them. Differentiable.
at::Tensor widen_images(const at::Tensor& x_bchw, const FusedWidths& widths);
FusedRouter widen_router(const FusedRouter& router, const FusedWidths& widths);
/// The given channels of the kernels' result, channels last. Differentiable.
at::Tensor narrow_result(const at::Tensor& y_bchw, const FusedWidths& widths);

/// Of widened x.
cuda::Shape fused_shape(const at::Tensor& x_bchw, const FusedWidths& widths, int64_t experts, int64_t top_k);

/// How products of x are formed: TF32 where that is allowed for convolutions of float32.
cuda::Math fused_math(const at::Tensor& x_bchw);

/// @throws c10::Error where the router is not one of `experts` for x, or lies on another device.
void check_router(const at::Tensor& x_bchw, const FusedRouter& router, std::size_t experts);

/// The router's results, not filled yet, and the means of x [B, C].
struct FusedChoice {
  at::Tensor logits_be, probs_be, indices_bk, weights_bk, mean_bc;

  FusedChoice(const at::Tensor& x_bchw, int64_t experts, int64_t top_k);
  cuda::Choice pointers() const;
};

/// float32, dense: what Router points to. The caller keeps it.
struct FusedGate {
  at::Tensor weight, bias, selection_bias;
  cuda::Router router;

  explicit FusedGate(const FusedRouter& from);
};

}  // namespace codmoe::ops
