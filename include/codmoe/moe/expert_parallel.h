// Pools larger than one device wants: each rank holds a part of the experts and runs them for all ranks.
#pragma once

#include <torch/nn/module.h>

#include <set>
#include <string>

#include "codmoe/dist/owned_state.h"

namespace codmoe::moe {

/// The owner of every parameter and buffer of experts that SparseCODMoEImpl::spread() gave to ranks, by its name in
/// nn::state_dict(model). For a training step:
///   - a name that isn't there is replicated: its gradient is to be summed over the ranks;
///   - what this rank owns has the gradient of all ranks' images already: it must not be summed;
///   - what another rank owns has no gradient here, is on the CPU and must not be in this rank's optimizer.
dist::Owners expert_owners(const torch::nn::Module& model);

/// The names there that other ranks own: what lies on the CPU here, and is stale.
std::set<std::string> experts_elsewhere(const torch::nn::Module& model);

/// Gives every rank the owners' weights and running statistics of all experts, so that nn::state_dict(model) is whole
/// and can be saved: names and values are those of a model on one rank. A collective. For other state by the same
/// names, as averages of weights, see dist::fill_from_owners().
///
/// The other way there is nothing to do: a plain state dict that every rank loads fits any number of ranks.
void gather_experts(torch::nn::Module& model, dist::Group& group);

}  // namespace codmoe::moe
