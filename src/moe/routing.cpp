#include "codmoe/moe/routing.h"

#include <ATen/ATen.h>

#include "strategies.h"

namespace codmoe::moe {

at::Tensor assignment_counts(const Routing& routing) {
  return choice_counts(routing).sum(0).to(routing.probs.scalar_type());
}

at::Tensor weight_maps(const Routing& routing) {
  const auto maps = at::zeros(routing.probs.sizes(), routing.weights.options());
  const auto filled = maps.scatter(1, routing.indices, routing.weights);
  return routing.spatial() ? filled : filled.view({routing.batch(), routing.experts(), 1, 1});
}

at::Tensor choice_counts(const Routing& routing) {
  // Not at::bincount: it reads its input's maximum on the host.
  const auto none = at::zeros(routing.probs.sizes(), routing.indices.options().dtype(at::kBool));
  const auto chosen = none.scatter(1, routing.indices, true);
  return routing.spatial() ? chosen.flatten(2).sum(2) : chosen.to(at::kLong);
}

}  // namespace codmoe::moe
