// Gradient checkpointing: activations are computed again in the backward pass instead of being kept.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <functional>
#include <memory>
#include <vector>

namespace codmoe::nn {

/// A function of one tensor, and what it uses.
struct CheckpointedCall {
  std::function<at::Tensor(const at::Tensor&)> function;
  /// Those whose parameters the function uses, and whose batch norms it runs.
  std::vector<std::shared_ptr<torch::nn::Module>> modules;
  /// Whether the function draws random numbers; then the recomputation draws the same ones, which cannot be captured in
  /// a CUDA graph.
  bool preserve_random_state = true;
};

/// call.function(x), of whose graph only x is kept; the backward pass runs the function again, with the random numbers
/// and the autocast state of the first run. Where the first run's batch norms were in training mode, the recomputation
/// leaves their running statistics untouched. Values and gradients are those of call.function(x), bit for bit on the
/// CPU. Where neither x nor a parameter needs a gradient, nothing is run again.
///
/// The function must not change x, and must give the same result both times. Gradients of gradients are not supported,
/// nor is torch::autograd::grad for parameters: theirs are added to their .grad in the backward pass.
/// @throws c10::Error where `modules` hold an nn::Norm, whose running statistics would be updated twice.
/// Source: Chen et al. 2016, arXiv:1604.06174; torch.utils.checkpoint (use_reentrant=True) in Python.
at::Tensor checkpoint(CheckpointedCall call, const at::Tensor& x);

}  // namespace codmoe::nn
