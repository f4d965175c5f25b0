// Stochastic depth: in training, residual branches are left out at random, a sample at a time.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

namespace codmoe::nn {

/// What a residual branch ends in: y = x + drop_path(branch(x)). In training each sample's branch is 0 with probability
/// `rate`, else divided by 1 - rate, so that its expectation stays; in evaluation and at rate 0 it is untouched, and no
/// random number is drawn. Source: Huang et al. 2016, arXiv:1603.09382, as timm's DropPath.
class DropPathImpl : public torch::nn::Module {
 public:
  /// branch: [B, ...], floating-point; the result has its shape, dtype and strides.
  at::Tensor forward(const at::Tensor& branch) const;

  /// In [0, 1].
  void set_rate(double rate) { rate_ = rate; }
  double rate() const { return rate_; }

 private:
  double rate_ = 0.0;
};
TORCH_MODULE(DropPath);

}  // namespace codmoe::nn
