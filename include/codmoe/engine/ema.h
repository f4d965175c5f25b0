// A moving average of a model's weights.
#pragma once

#include <torch/nn/module.h>

#include <vector>

#include "codmoe/engine/options.h"
#include "codmoe/nn/weights.h"

namespace codmoe::engine {

/// The part of the average that stays at the n-th step's end (n from 1): 0 in the first, then options.decay, with
/// `warmup` at most 1 - n^(-2/3). Source: timm's ModelEmaV3 (use_warmup, gamma 1, power 2/3).
double ema_decay(const EmaOptions& options, int64_t n);

/// An exponential moving average of a model's floating-point state. As in timm's ModelEmaV3, buffers are averaged too:
/// running statistics and selection biases; whole numbers are copied. Those of experts that other ranks own are in host
/// memory and as stale as the experts, until dist::fill_from_owners(state()).
class WeightAverage {
 public:
  /// Begins with the model's state. The model must not be moved or resized while this lives.
  explicit WeightAverage(const torch::nn::Module& model);

  /// average += weight * (state - average), with weight = 1 - decay, on the device; nothing where `left_out` is 1. Both
  /// are float32 scalars on the device, and nothing waits for it: a captured CUDA graph can hold this.
  void update(const at::Tensor& weight, const at::Tensor& left_out);

  /// The average under the model's names. It is not a copy.
  const core::TensorMap& state() const { return average_; }
  /// @throws core::Error for missing, unexpected or mis-shaped tensors; `source` names them.
  void load(const core::TensorMap& state, const std::string& source);

 private:
  friend class AveragedWeights;
  core::TensorMap average_;
  std::vector<at::Tensor> averages_, values_;   // floating-point
  std::vector<at::Tensor> kept_whole_, whole_;  // whole numbers
};

/// For its lifetime the model has the averaged state, each rank in the experts that it owns. Addresses stay as they
/// are, so CUDA graphs of the model do too.
class AveragedWeights {
 public:
  /// Does nothing where `average` is null.
  explicit AveragedWeights(WeightAverage* average);
  ~AveragedWeights();
  AveragedWeights(const AveragedWeights&) = delete;
  AveragedWeights& operator=(const AveragedWeights&) = delete;

 private:
  WeightAverage* average_;
  std::vector<at::Tensor> own_;
};

}  // namespace codmoe::engine
