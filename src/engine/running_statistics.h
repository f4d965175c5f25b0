// Running statistics of batch norms, which every rank has of its own part of the batches.
#pragma once

#include <vector>

#include "codmoe/core/safetensors.h"
#include "codmoe/dist/owned_state.h"

namespace codmoe::engine {

/// Means and variances in a model's state, not copied, but for those of experts with an owner: it sees all samples.
std::vector<at::Tensor> running_statistics(const core::TensorMap& state, const dist::Owners& owners);

/// Each becomes its mean over the ranks, in one sum.
void average_over_ranks(const std::vector<at::Tensor>& tensors, dist::Group& group);

}  // namespace codmoe::engine
