// Ways to run the chosen experts: the same mathematics, at different cost.
#pragma once

#include <vector>

#include "codmoe/core/options.h"
#include "codmoe/experts/expert.h"
#include "codmoe/moe/routing.h"

namespace codmoe::moe {

enum class Dispatch {
  automatic,   ///< `fused` where it can run, else `batched`, or `dense` in work for a CUDA graph
  sequential,  ///< one sample and one expert at a time: the old way, kept as the baseline
  batched,     ///< every expert once, on the images that chose it; one read of the choices by the host. Of spatial
               ///< routing, an expert's last part is run at its positions alone where that is less work
  dense,       ///< every expert on every sample, masked; no host synchronisation
  fused        ///< router and chosen experts in own CUDA kernels, no host synchronisation: global routing, batch norm,
               ///< evaluation without gradients or training; `batched` where it cannot run
};
constexpr auto enum_names(Dispatch) {
  return core::names<Dispatch>({{"auto", Dispatch::automatic},
                                {"sequential", Dispatch::sequential},
                                {"batched", Dispatch::batched},
                                {"dense", Dispatch::dense},
                                {"fused", Dispatch::fused}});
}

using ExpertPool = std::vector<experts::ExpertPtr>;

/// sum over k of weights[b, k] * expert[indices[b, k]](x[b]), for x [B, C, H, W]; the result has x's shape and dtype.
/// Spatial routing mixes so at each position, from experts that see the whole map of every image in which a position
/// chose them. In training an expert sees exactly those images, as one batch, and norm statistics come from those
/// alone; `sequential` differs there, since it shows an expert one sample at a time.
at::Tensor dispatch(Dispatch strategy, const at::Tensor& x_bchw, const Routing& routing, const ExpertPool& pool);

}  // namespace codmoe::moe
