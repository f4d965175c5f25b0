// Running statistics of batch norms, which every rank moves by its own part of the batches.
#pragma once

#include <vector>

#include "codmoe/core/safetensors.h"
#include "codmoe/dist/owned_state.h"

namespace codmoe::engine {

/// Means and variances in a model's state, the same on every rank before each step and after it. To the bit, so that a
/// checkpoint's moment changes nothing. Not those of experts with an owner, which sees all samples.
class RunningStatistics {
 public:
  RunningStatistics(const core::TensorMap& state, const dist::Owners& owners);
  /// To be called before the step.
  void remember();
  /// After it: each moves by the mean of the ranks' changes. One sum; nothing waits for the host.
  void average_changes(dist::Group& group);

 private:
  std::vector<at::Tensor> statistics_;
  at::Tensor remembered_;  // in one row
};

}  // namespace codmoe::engine
