#include "codmoe/moe/routing.h"

#include <ATen/ATen.h>

namespace codmoe::moe {

at::Tensor assignment_counts(const Routing& routing) {
  // Not at::bincount: it reads its input's maximum on the host.
  const auto ids = at::arange(routing.experts(), routing.indices_bk.options());
  return (routing.indices_bk.reshape({-1, 1}) == ids).sum(0).to(routing.probs_be.scalar_type());
}

}  // namespace codmoe::moe
