#include "benchmarks/routes.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "codmoe/core/seed.h"

namespace codmoe::bench {

namespace {

constexpr double kGateDeviation = 3.0;

}  // namespace

std::vector<at::Tensor> draw_gates(int64_t count, int64_t experts, int64_t channels, uint64_t seed) {
  std::vector<at::Tensor> gates;
  for (int64_t i = 0; i < count; ++i) {
    const auto generator = at::make_generator<at::CPUGeneratorImpl>(core::mix_seed(seed, static_cast<uint64_t>(i)));
    gates.push_back(kGateDeviation * at::randn({experts, channels}, generator, at::kFloat));
  }
  return gates;
}

void use_gate(moe::SparseCODMoE& layer, const at::Tensor& gate_ec) {
  const at::NoGradGuard no_grad;
  auto router = layer->router()->named_parameters();
  router["gate.weight"].copy_(gate_ec);
  router["gate.bias"].zero_();
}

std::vector<int64_t> route_counts(const moe::Routing& routing) {
  const auto counts = moe::assignment_counts(routing).to(at::kCPU, at::kLong).contiguous();
  return {counts.const_data_ptr<int64_t>(), counts.const_data_ptr<int64_t>() + counts.numel()};
}

std::optional<Work> needed_work(const moe::ExpertPool& pool, const std::vector<int64_t>& counts,
                                const LayerShape& shape, Pass pass) {
  double flops = 0, parameters = 0;
  for (std::size_t e = 0; e < pool.size(); ++e) {
    if (counts[e] == 0) continue;
    const auto description = pool[e]->describe();
    if (!description) return std::nullopt;
    flops += static_cast<double>(counts[e] * description->flops(shape.positions));
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
    const auto counts = route_counts(layer->router()->forward(x_bchw));
    const auto assignments = static_cast<double>(shape.batch * layer->options().top_k);
    for (std::size_t e = 0; e < counts.size(); ++e) mean.load[e] += static_cast<double>(counts[e]) / assignments / sets;
    const auto work = needed_work(layer->pool(), counts, shape, pass);
    if (!work) mean.work.reset();
    if (!mean.work) continue;
    mean.work->flops += work->flops / sets;
    mean.work->bytes += work->bytes / sets;
  }
  return mean;
}

}  // namespace codmoe::bench
