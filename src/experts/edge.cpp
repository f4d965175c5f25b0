#include "codmoe/experts/edge.h"

#include "codmoe/ops/edges.h"

namespace codmoe::experts {

EdgeExpert::EdgeExpert(const ExpertOptions& options)
    : BranchedExpert(options, {{Source::sobel, {.in = options.dim, .out = branch_widths(options.dim)[0]}},
                               {Source::laplacian, {.in = options.dim, .out = branch_widths(options.dim)[1]}},
                               {Source::gradient, {.in = options.dim, .out = branch_widths(options.dim)[2]}},
                               {Source::input, {.in = options.dim, .out = branch_widths(options.dim)[3]}}}) {}

std::vector<at::Tensor> EdgeExpert::sources(const at::Tensor& x_bchw) const {
  const auto maps = ops::edge_maps(x_bchw);
  return {maps.sobel, maps.laplacian, maps.gradient, x_bchw};
}

}  // namespace codmoe::experts
