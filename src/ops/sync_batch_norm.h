// Batch norm over all ranks' samples, on CUDA.
#pragma once

#include "codmoe/dist/group.h"
#include "codmoe/ops/batch_norm_act.h"

namespace codmoe::ops {

/// The norm of x [B, C, H, W] on CUDA in training, by LibTorch's kernels for statistics that come in parts: one
/// collective of 2 C + 1 numbers a rank forward, and a sum of 2 C numbers backward. `group` must outlive the backward
/// pass.
at::Tensor sync_batch_norm(const at::Tensor& x_bchw, const BatchNormState& state, dist::Group& group);

}  // namespace codmoe::ops
