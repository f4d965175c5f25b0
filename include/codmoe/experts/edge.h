// Edge expert: magnitudes of fixed first- and second-order filters beside the map itself.
#pragma once

#include "codmoe/experts/branched.h"

namespace codmoe::experts {

/// Branches `sobel`, `laplacian`, `gradient`, `spatial` (1x1 each), see ops/edges.h. Shapes, dtype and errors:
/// expert.h. Source: the guide's edge expert.
class EdgeExpert final : public BranchedExpert {
 public:
  explicit EdgeExpert(const ExpertOptions& options);

 protected:
  std::vector<at::Tensor> sources(const at::Tensor& x_bchw) const override;
};

}  // namespace codmoe::experts
