// Frequency expert: low, middle and high spatial frequencies beside the map itself.
#pragma once

#include "codmoe/experts/branched.h"

namespace codmoe::experts {

/// Branches `low`, `mid`, `high`, `spatial` (1x1 each), see ops/band_split.h. Shapes, dtype and errors: expert.h.
/// Source: the guide's frequency expert, with each pooling done once.
class FrequencyExpert final : public BranchedExpert {
 public:
  explicit FrequencyExpert(const ExpertOptions& options);

 protected:
  std::vector<at::Tensor> sources(const at::Tensor& x_bchw) const override;
};

}  // namespace codmoe::experts
