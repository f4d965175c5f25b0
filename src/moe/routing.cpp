#include "codmoe/moe/routing.h"

#include <ATen/ATen.h>

namespace codmoe::moe {

at::Tensor assignment_counts(const Routing& routing) {
  // Not at::bincount: it reads its input's maximum on the host.
  const auto ids = at::arange(routing.experts(), routing.indices.options());
  return (routing.indices.reshape({-1, 1}) == ids).sum(0).to(routing.probs.scalar_type());
}

}  // namespace codmoe::moe
