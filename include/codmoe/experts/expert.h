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

  /// gather_positions(forward(x), positions), possibly at less cost: a user's own expert needs no own version.
  virtual at::Tensor forward_at(const at::Tensor& x_bchw, const at::Tensor& positions_p);
  /// Whether, in the present mode, forward_at() saves work over forward(): what follows the expert's last
  /// neighbourhood or statistic is then done at the wanted positions alone.
  virtual bool saves_at_positions() const { return false; }

  /// Its convolutions as data. Where an expert has none, codmoe-bench says no FLOPs of its pools, and they run under
  /// dispatch `batched`, `dense` and `sequential` alone.
  virtual std::optional<ExpertDescription> describe() const { return std::nullopt; }
};

using ExpertPtr = std::shared_ptr<Expert>;

/// x [B, C, H, W] at P positions, int64 [P], each b * H * W + h * W + w: [1, C, P, 1], which 1x1 convolutions and
/// norms over channels take for one image.
at::Tensor gather_positions(const at::Tensor& x_bchw, const at::Tensor& positions_p);

}  // namespace codmoe::experts
