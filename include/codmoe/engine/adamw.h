// AdamW over all parameters at once, without reading anything back from the device.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "codmoe/core/safetensors.h"
#include "codmoe/engine/options.h"

namespace codmoe::engine {

/// Parameters that learn, or stand still, for the same steps.
struct ParameterGroup {
  std::string name;       ///< of their step count in AdamW's state
  double lr_scale = 1.0;  ///< on options.lr
  std::vector<std::pair<std::string, at::Tensor>> parameters = {};
};

/// AdamW (Loshchilov and Hutter 2019) by LibTorch's fused kernel, with the step counts on the device: LibTorch's C++
/// optimizer loops over the parameters one by one.
///
/// Where nothing flowed into a parameter its gradient is zero: an expert that no image chose is decayed and carried by
/// its momentum like the others, whatever the dispatch. Parameters that need no gradient take
/// part in nothing: they, their moments and their group's step count stay as they are.
class AdamW {
 public:
  AdamW(const std::vector<ParameterGroup>& groups, const OptimizerOptions& options);

  /// To be called after the requires_grad of a parameter changed.
  void update_trainable();

  /// Frees the gradients: the next backward's become the parameters' own, without a copy or a sum.
  void zero_grad();

  /// One step at options.lr * factor, a scalar on the parameters' device (float32 on CUDA). Gradients are clipped
  /// first; where their norm is not finite, nothing changes. Returns the norm before clipping, a scalar on the device.
  /// What step() reads and writes lies on the device, so that a captured CUDA graph can hold it.
  at::Tensor step(const at::Tensor& factor);

  /// Steps left out because of a norm that was not finite: a scalar on the device.
  const at::Tensor& skipped() const { return skipped_; }

  /// "exp_avg.NAME", "exp_avg_sq.NAME", "step.GROUP", "skipped": all that step() depends on beside the parameters.
  core::TensorMap state() const;
  /// @throws core::Error for missing, unexpected or mis-shaped tensors.
  void load_state(const core::TensorMap& state);

 private:
  struct Slot {
    std::string name, group;
    at::Tensor parameter, exp_avg, exp_avg_sq, step;
    double lr_scale = 1.0;
    double weight_decay = 0.0;
  };
  /// What one call of the kernel takes.
  struct Batch {
    double lr_scale = 1.0;
    double weight_decay = 0.0;
    std::vector<at::Tensor> params, exp_avg, exp_avg_sq, steps;
  };
  void add(const ParameterGroup& group);
  Batch& batch_of(const Slot& slot);

  OptimizerOptions options_;
  std::vector<Slot> slots_;
  std::vector<Batch> batches_;     // of the trainable parameters alone
  std::vector<at::Tensor> steps_;  // of the groups that have any
  at::Tensor skipped_;
};

}  // namespace codmoe::engine
