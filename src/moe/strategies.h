// The dispatch strategies, one file each, and what they share.
#pragma once

#include "codmoe/dist/group.h"
#include "codmoe/moe/dispatch.h"

namespace codmoe::moe {

/// Weights by expert, zero where it wasn't chosen: [B, E, H, W], or [B, E, 1, 1] with global routing. Differentiable.
at::Tensor weight_maps(const Routing& routing);
/// Positions of an image that chose an expert, int64 [B, E]; 1 or 0 with global routing. No host synchronisation.
at::Tensor choice_counts(const Routing& routing);

at::Tensor dispatch_sequential(const at::Tensor& x_bchw, const Routing& routing, const ExpertPool& pool);
at::Tensor dispatch_batched(const at::Tensor& x_bchw, const Routing& routing, const ExpertPool& pool);
at::Tensor dispatch_dense(const at::Tensor& x_bchw, const Routing& routing, const ExpertPool& pool);
/// As dispatch_batched() on the images of all ranks together, by rank, where each rank runs its expert_block(): x and
/// the result are this rank's. A collective, forward and backward; see dist::all_to_all().
at::Tensor dispatch_spread(const at::Tensor& x_bchw, const Routing& routing, const ExpertPool& pool,
                           dist::Group& group);

}  // namespace codmoe::moe
