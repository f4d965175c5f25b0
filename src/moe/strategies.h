// The dispatch strategies, one file each, and what they share.
#pragma once

#include "codmoe/moe/dispatch.h"

namespace codmoe::moe {

/// Weights by expert, zero where it wasn't chosen: [B, E, H, W], or [B, E, 1, 1] with global routing. Differentiable.
at::Tensor weight_maps(const Routing& routing);
/// Positions of an image that chose an expert, int64 [B, E]; 1 or 0 with global routing. No host synchronisation.
at::Tensor choice_counts(const Routing& routing);

at::Tensor dispatch_sequential(const at::Tensor& x_bchw, const Routing& routing, const ExpertPool& pool);
at::Tensor dispatch_batched(const at::Tensor& x_bchw, const Routing& routing, const ExpertPool& pool);
at::Tensor dispatch_dense(const at::Tensor& x_bchw, const Routing& routing, const ExpertPool& pool);

}  // namespace codmoe::moe
