#include "codmoe/moe/dispatch.h"

#include <c10/util/Exception.h>

#include "strategies.h"

namespace codmoe::moe {

at::Tensor dispatch(Dispatch strategy, const at::Tensor& x_bchw, const Routing& routing, const ExpertPool& pool) {
  TORCH_CHECK(x_bchw.dim() == 4 && x_bchw.size(0) == routing.batch(),
              "dispatch: x must be [B, C, H, W] with B = ", routing.batch(), ", not ", x_bchw.sizes());
  TORCH_CHECK(!routing.spatial() || routing.probs.sizes().slice(2) == x_bchw.sizes().slice(2),
              "dispatch: the routing is of ", routing.probs.sizes().slice(2), " positions, x has ",
              x_bchw.sizes().slice(2));
  TORCH_CHECK(static_cast<int64_t>(pool.size()) == routing.experts(), "dispatch: the routing is over ",
              routing.experts(), " experts, the pool has ", pool.size());
  switch (strategy) {
    case Dispatch::sequential:
      return dispatch_sequential(x_bchw, routing, pool);
    case Dispatch::dense:
      return dispatch_dense(x_bchw, routing, pool);
    case Dispatch::fused:      // takes its routes from its own router: SparseCODMoE runs it
    case Dispatch::automatic:  // batched is never far from the fastest of these: benchmarks/README.md
    case Dispatch::batched:
      return dispatch_batched(x_bchw, routing, pool);
  }
  TORCH_CHECK(false, "unknown dispatch");
}

}  // namespace codmoe::moe
