// Contrast expert: neighbourhoods of several sizes beside the position itself.
#pragma once

#include "codmoe/experts/branched.h"

namespace codmoe::experts {

/// Branches 3x3, 3x3 of dilation 2, 5x5 and 1x1, all reading x. Source: the guide's contrast expert.
class ContrastExpert final : public BranchedExpert {
 public:
  explicit ContrastExpert(const ExpertOptions& options);

 protected:
  std::vector<at::Tensor> sources(const at::Tensor& x_bchw) const override;
};

}  // namespace codmoe::experts
