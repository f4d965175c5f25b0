// What autocast does weight by weight, for a whole model at once: a step of several hundred small copies needs a dozen.
#pragma once

#include <optional>
#include <vector>

#include "codmoe/engine/options.h"
#include "codmoe/model/detector.h"
#include "codmoe/ops/narrow_copies.h"

namespace codmoe::engine {

/// Under bfloat16 autocast on CUDA a model's convolutions and linear layers compute with these copies of their weights.
/// The numbers are autocast's. MoE layers (whose kernels copy for themselves) and depthwise convolutions (which take
/// float32) are left to themselves.
class NarrowWeights {
 public:
  /// Of `model` on `device`, where `precision` asks for bfloat16 on CUDA; elsewhere it does nothing.
  NarrowWeights(model::DetectorImpl& model, c10::Device device, Precision precision);

  /// To be held during a forward under autocast. Gradients reach the weights as usual.
  class Scope {
   public:
    explicit Scope(NarrowWeights& weights);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    NarrowWeights& weights_;
    std::optional<ops::NarrowCopies> others_;
  };

 private:
  /// A convolution's member and its parameter, which the member shows but for the scope's lifetime.
  struct Conv {
    at::Tensor* member;
    at::Tensor parameter;
  };

  void use_copies(const std::vector<Conv>& convs);

  std::vector<Conv> convs_;
  std::vector<at::Tensor> others_;  // of linear layers, and biases
};

}  // namespace codmoe::engine
