// What autocast does weight by weight, for a whole model at once: a step of several hundred small copies needs a dozen.
#pragma once

#include <optional>
#include <vector>

#include "codmoe/engine/options.h"
#include "codmoe/model/detector.h"
#include "codmoe/ops/narrow_copies.h"

namespace codmoe::engine {

/// Under bfloat16 autocast on CUDA a model's convolutions and linear layers compute with these copies of their weights,
/// and ops::linear and ops::add_bias with those of biases. The numbers are autocast's. MoE layers (whose kernels copy
/// for themselves) and depthwise convolutions (which take float32) are left to themselves.
class NarrowWeights {
  /// A convolution's member and its parameter, which the member shows but for a scope's lifetime.
  struct Conv {
    at::Tensor* member;
    at::Tensor parameter;
  };
  /// Shows the parameters again in the end, also of a scope that can't be made.
  class PutBack {
   public:
    explicit PutBack(const std::vector<Conv>& convs) : convs_(convs) {}
    ~PutBack();
    PutBack(const PutBack&) = delete;
    PutBack& operator=(const PutBack&) = delete;

   private:
    const std::vector<Conv>& convs_;
  };

 public:
  /// Of `model` on `device`, where `precision` asks for bfloat16 on CUDA; elsewhere it does nothing.
  NarrowWeights(model::DetectorImpl& model, c10::Device device, Precision precision);

  /// To be held during a forward under autocast. Gradients reach the weights as usual, but not gradients of gradients.
  class Scope {
   public:
    explicit Scope(NarrowWeights& weights);

   private:
    PutBack put_back_;
    std::optional<ops::NarrowCopies> others_;
  };

 private:
  void use_copies(const std::vector<Conv>& convs);

  std::vector<Conv> convs_;
  std::vector<at::Tensor> others_;  // of linear layers, and biases
};

}  // namespace codmoe::engine
