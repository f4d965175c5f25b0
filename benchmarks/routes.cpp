#include "benchmarks/routes.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "codmoe/core/seed.h"

namespace codmoe::bench {

namespace {

constexpr double kGateDeviation = 3.0, kSpatialGateDeviation = 0.5;

/// Whether the experts need their images' whole maps for their statistics alone.
bool takes_statistics(const moe::SparseCODMoE& layer, Pass pass) {
  const auto norm = layer->options().norm;
  return norm == nn::NormKind::group || (norm == nn::NormKind::batch && pass == Pass::train);
}

}  // namespace

std::vector<at::Tensor> draw_gates(int64_t count, moe::SparseCODMoE& layer, uint64_t seed) {
  const auto shape = layer->router()->named_parameters()["gate.weight"].sizes().vec();
  const bool spatial = layer->options().routing == moe::RoutingKind::spatial;
  std::vector<at::Tensor> gates;
  for (int64_t i = 0; i < count; ++i) {
    const auto generator = at::make_generator<at::CPUGeneratorImpl>(core::mix_seed(seed, static_cast<uint64_t>(i)));
    gates.push_back((spatial ? kSpatialGateDeviation : kGateDeviation) * at::randn(shape, generator, at::kFloat));
  }
  return gates;
}

void use_gate(moe::SparseCODMoE& layer, const at::Tensor& gate) {
  const at::NoGradGuard no_grad;
  auto router = layer->router()->named_parameters();
  router["gate.weight"].copy_(gate);
  router["gate.bias"].zero_();
}

RouteCounts route_counts(const moe::Routing& routing, int64_t positions, bool whole_maps) {
  RouteCounts counts;
  for (int64_t e = 0; e < routing.experts(); ++e) {
    const auto chosen_b = (routing.indices == e).flatten(1).sum(1).cpu();
    auto& own = counts.emplace_back();
    for (int64_t b = 0; b < routing.batch(); ++b) {
      const auto count = chosen_b[b].item<int64_t>();
      if (count > 0) own.push_back(routing.spatial() && !whole_maps ? count : positions);
    }
  }
  return counts;
}

std::optional<Work> needed_work(const moe::ExpertPool& pool, const RouteCounts& counts, const LayerShape& shape,
                                Pass pass) {
  double flops = 0, parameters = 0;
  for (std::size_t e = 0; e < pool.size(); ++e) {
    if (counts[e].empty()) continue;
    const auto description = pool[e]->describe();
    if (!description) return std::nullopt;
    for (const auto positions : counts[e]) flops += static_cast<double>(description->flops(positions));
    parameters += static_cast<double>(description->parameters());
  }
  const auto values = static_cast<double>(shape.batch * shape.channels * shape.positions);
  const auto size = static_cast<double>(shape.element_size);
  if (pass == Pass::forward) return Work{.flops = flops, .bytes = size * (parameters + 2 * values)};
  return Work{.flops = 3 * flops, .bytes = size * (3 * parameters + 5 * values)};
}

RouteStatistics route_statistics(moe::SparseCODMoE& layer, const at::Tensor& x_bchw,
                                 const std::vector<at::Tensor>& gates, Pass pass) {
  const at::NoGradGuard no_grad;
  const LayerShape shape{.batch = x_bchw.size(0),
                         .channels = x_bchw.size(1),
                         .positions = x_bchw.size(2) * x_bchw.size(3),
                         .element_size = x_bchw.element_size()};
  RouteStatistics mean{.load = std::vector<double>(layer->pool().size()), .work = Work{}};
  const auto sets = static_cast<double>(gates.size());
  for (const auto& gate : gates) {
    use_gate(layer, gate);
    const auto routing = layer->router()->forward(x_bchw);
    const auto share_e = (moe::assignment_counts(routing) / static_cast<double>(routing.indices.numel())).cpu();
    for (std::size_t e = 0; e < mean.load.size(); ++e)
      mean.load[e] += share_e[static_cast<int64_t>(e)].item<double>() / sets;
    const auto counts = route_counts(routing, shape.positions, takes_statistics(layer, pass));
    const auto work = needed_work(layer->pool(), counts, shape, pass);
    if (!work) mean.work.reset();
    if (!mean.work) continue;
    mean.work->flops += work->flops / sets;
    mean.work->bytes += work->bytes / sets;
  }
  return mean;
}

}  // namespace codmoe::bench
