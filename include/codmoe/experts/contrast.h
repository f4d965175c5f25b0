// Contrast expert: neighbourhoods of several sizes beside the position itself.
#pragma once

#include "codmoe/experts/branched.h"

namespace codmoe::experts {

/// Branches 3x3, 3x3 of dilation 2, 5x5 and 1x1, all reading x. Shapes, dtype and errors: expert.h. Source: the guide's
/// contrast expert, which has about 12 C^2 weights (not 25 % fewer than a depthwise 3x3 and two 1x1, as it claims).
class ContrastExpert final : public BranchedExpert {
 public:
  explicit ContrastExpert(const ExpertOptions& options);

 protected:
  std::vector<at::Tensor> sources(const at::Tensor& x_bchw) const override;
};

}  // namespace codmoe::experts
