// Attention expert: every head asks the image one question, and all positions hear the answer.
#pragma once

#include "codmoe/experts/expert.h"

namespace codmoe::experts {

/// q = mean of the queries over positions; a = softmax(q.k / sqrt(C/h)); o = sum of a.v, broadcast over positions, then
/// 1x1 with bias. h = the largest divisor of C that is at most 8. Parameters `norm.*`, `qkv.*` (1x1, C -> 3C),
/// `proj.*`. The key and value projections are folded through the pooled query: the same result, with C*h products a
/// position instead of 3*C*C. Shapes, dtype and errors: expert.h. Source: the guide's attention expert (whose shapes
/// don't multiply as printed).
class AttentionExpert final : public Expert {
 public:
  explicit AttentionExpert(const ExpertOptions& options);
  at::Tensor forward(const at::Tensor& x_bchw, const nn::SampleMask& mask_b = std::nullopt) override;
  std::optional<ExpertDescription> describe() const override { return description_; }

 private:
  int64_t dim_, heads_;
  ExpertDescription description_;
  nn::Norm norm_{nullptr};
  torch::nn::Conv2d qkv_{nullptr}, proj_{nullptr};
};

}  // namespace codmoe::experts
