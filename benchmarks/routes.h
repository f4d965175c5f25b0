// Routes for benchmarks, and what they cost.
#pragma once

#include <optional>
#include <vector>

#include "codmoe/moe/sparse_codmoe.h"

namespace codmoe::bench {

/// Weights of `count` gates for the layer's router, float32 on the CPU, from N(0, 3^2). Default initialisation would
/// send every random image to the same pair of experts, and a timing on such routes means nothing. For spatial routing
/// from N(0, 0.5^2), since its gate reads single positions, which vary more than means over a map.
std::vector<at::Tensor> draw_gates(int64_t count, moe::SparseCODMoE& layer, uint64_t seed);

/// The layer's router gets this gate, and bias 0.
void use_gate(moe::SparseCODMoE& layer, const at::Tensor& gate);

enum class Pass {
  forward,  ///< evaluation mode, without gradients
  train     ///< training mode, forward and backward
};
constexpr auto enum_names(Pass) { return core::names<Pass>({{"forward", Pass::forward}, {"train", Pass::train}}); }

/// What a batch needs at least, whatever the implementation.
struct Work {
  double flops = 0;  ///< of the experts' convolutions; a multiply-add is two
  double bytes = 0;  ///< of device memory traffic
};

/// The layer's input: B images of [C, H, W], and the bytes of one value.
struct LayerShape {
  int64_t batch = 0, channels = 0, positions = 0, element_size = 4;
};

/// For each expert, the positions it must compute of every image that chose it: all with global routing, and where
/// statistics are taken over the maps (`whole_maps`), else those that chose it.
using RouteCounts = std::vector<std::vector<int64_t>>;
RouteCounts route_counts(const moe::Routing& routing, int64_t positions, bool whole_maps);

/// From the experts' own descriptions; none where an expert in use has no description. `forward` reads the weights of
/// the experts in use and the input, and writes the output, once each. `train` adds the gradients of input and weights
/// (as many products each as forward), reads weights, input and output again, and writes the two gradients.
std::optional<Work> needed_work(const moe::ExpertPool& pool, const RouteCounts& counts, const LayerShape& shape,
                                Pass pass);

/// Means over several sets of routes.
struct RouteStatistics {
  std::vector<double> load;  ///< share of the assignments an expert; sums to 1
  std::optional<Work> work;
};
RouteStatistics route_statistics(moe::SparseCODMoE& layer, const at::Tensor& x_bchw,
                                 const std::vector<at::Tensor>& gates, Pass pass);

}  // namespace codmoe::bench
