// AdamW over all parameters at once, without reading anything back from the device.
#pragma once

#include <torch/nn/module.h>

#include <vector>

#include "codmoe/core/safetensors.h"
#include "codmoe/engine/options.h"

namespace codmoe::engine {

/// AdamW (Loshchilov and Hutter 2019) by LibTorch's fused kernel, with the step count on the device: LibTorch's C++
/// optimizer loops over the parameters one by one.
///
/// Where nothing flowed into a parameter its gradient is zero: an expert that no image chose is decayed and carried by
/// its momentum like the others, whatever the dispatch.
class AdamW {
 public:
  /// Parameters of `model` whose name begins with "backbone." learn at lr * backbone_lr_scale.
  AdamW(const torch::nn::Module& model, const OptimizerOptions& options);

  /// Frees the gradients: the next backward's become the parameters' own, without a copy or a sum.
  void zero_grad();

  /// One step at options.lr * factor, a float32 scalar on the parameters' device. Gradients are clipped first; where
  /// their norm is not finite, nothing changes. Returns the norm before clipping, a scalar on the device. What step()
  /// reads and writes lies on the device, so that a captured CUDA graph can hold it.
  at::Tensor step(const at::Tensor& factor);

  /// Steps left out because of a norm that was not finite: a scalar on the device.
  const at::Tensor& skipped() const { return skipped_; }

  /// "exp_avg.NAME", "exp_avg_sq.NAME", "step", "skipped": all that step() depends on beside the parameters.
  core::TensorMap state() const;
  /// @throws core::Error for missing, unexpected or mis-shaped tensors.
  void load_state(const core::TensorMap& state);

 private:
  struct Group {
    double lr_scale = 1.0;
    double weight_decay = 0.0;
    std::vector<at::Tensor> params, exp_avg, exp_avg_sq, steps;
    std::vector<std::string> names;
  };
  Group& group_of(const std::string& name, const at::Tensor& parameter);

  OptimizerOptions options_;
  std::vector<Group> groups_;
  at::Tensor step_, skipped_;
};

}  // namespace codmoe::engine
