// The form that four of the six experts share: convolution branches, concatenated and fused.
#pragma once

#include <array>
#include <vector>

#include "codmoe/experts/expert.h"

namespace codmoe::experts {

/// Widths in channels of the four branches of an expert of `dim` channels: r, r, r and dim - 3r, with r = dim / 4.
std::array<int64_t, 4> branch_widths(int64_t dim);

/// f(x) = cna1x1(concat(cna(source_0), ...)): parameters `branches.N.conv.weight`, `branches.N.norm.*`,
/// `fusion.conv.weight`, `fusion.norm.*`. Shapes, dtype and errors: expert.h. Source: the form of the guide's experts.
class BranchedExpert : public Expert {
 public:
  at::Tensor forward(const at::Tensor& x_bchw, const nn::SampleMask& mask_b = std::nullopt) final;
  at::Tensor forward_at(const at::Tensor& x_bchw, const at::Tensor& positions_p) final;
  bool saves_at_positions() const final { return fusion_->has_pointwise_norm(); }
  std::optional<ExpertDescription> describe() const final { return description_; }

 protected:
  /// One cna, and the map that it reads.
  struct Branch {
    Source source = Source::input;
    nn::ConvShape shape;
  };
  /// The widths (`shape.out`) of all branches must sum to options.dim.
  BranchedExpert(const ExpertOptions& options, const std::vector<Branch>& branches);

  /// The maps that the branches read, one a branch in their order, each [B, shape.in, H, W] of x's dtype.
  virtual std::vector<at::Tensor> sources(const at::Tensor& x_bchw) const = 0;

 private:
  ExpertDescription description_;
  std::vector<nn::ConvNormAct> branches_;
  nn::ConvNormAct fusion_{nullptr};
};

}  // namespace codmoe::experts
