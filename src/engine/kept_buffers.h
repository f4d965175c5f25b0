// Running statistics outlive a step that is left out.
#pragma once

#include <torch/nn/module.h>

#include <vector>

namespace codmoe::engine {

/// A model's floating-point buffers: running statistics, selection biases. Its forward pass moves them before anyone
/// knows whether the step's loss is finite, and one that is not would stay in them for good. Other
/// ranks' experts are left alone.
class KeptBuffers {
 public:
  explicit KeptBuffers(const torch::nn::Module& model);
  /// To be called before the step.
  void remember();
  /// Gives the buffers back what they were where `left_out`, a scalar on the device, is 1. Never waits for the device.
  void restore(const at::Tensor& left_out);

 private:
  std::vector<at::Tensor> buffers_;
  at::Tensor remembered_;  // all values in one row
};

}  // namespace codmoe::engine
