// What every expert is.
#pragma once

#include <torch/nn/module.h>

#include <memory>
#include <optional>

#include "codmoe/experts/description.h"
#include "codmoe/nn/norm.h"

namespace codmoe::experts {

/// What every expert is built from.
struct ExpertOptions {
  int64_t dim = 0;  ///< channels C of input and output, at least 4
  nn::NormKind norm = nn::NormKind::batch;
};

/// A residual block y = f(x) + x on [B, C, H, W], H and W at least 1, of the weights' floating-point dtype. Output
/// shape and, outside autocast, dtype are x's. @throws c10::Error from LibTorch for another number of channels or
/// dtype.
class Expert : public torch::nn::Module {
 public:
  /// In training, norm statistics come from the samples of `mask_b` (bool [B]) alone; absent means all. What the other
  /// samples get is not used.
  virtual at::Tensor forward(const at::Tensor& x_bchw, const nn::SampleMask& mask_b = std::nullopt) = 0;

  /// Its convolutions as data. An expert without a description has no FLOP count and runs under dispatch `batched`,
  /// `dense` and `sequential`.
  virtual std::optional<ExpertDescription> describe() const { return std::nullopt; }
};

using ExpertPtr = std::shared_ptr<Expert>;

}  // namespace codmoe::experts
