#include "codmoe/engine/expert_load.h"

#include <fmt/format.h>

namespace codmoe::engine {

namespace {

core::Json by_expert(const std::vector<double>& values, const report::ExpertLayer& layer) {
  auto named = core::Json::object();
  for (std::size_t e = 0; e < values.size(); ++e) named[layer.experts[e]] = values[e];
  return named;
}

}  // namespace

std::vector<report::ExpertLayer> expert_layers(model::DetectorImpl& model) {
  std::vector<report::ExpertLayer> layers;
  for (const auto& layer : model.moe_layers()) {
    layers.push_back({fmt::format("moe.{}", layers.size()), moe::expert_labels(layer->options().experts)});
  }
  return layers;
}

core::Json load_json(const moe::LoadReport& report, const report::ExpertLayer& layer) {
  return {{"load", by_expert(report.load, layer)},
          {"probability", by_expert(report.probability, layer)},
          {"entropy", report.entropy},
          {"cv", report.cv},
          {"dead", report.dead},
          {"decisions", report.decisions}};
}

std::vector<std::string> rare_expert_warnings(const moe::LoadReport& report, const report::ExpertLayer& layer,
                                              int64_t epoch) {
  std::vector<std::string> warnings;
  for (std::size_t e = 0; e < report.load.size(); ++e) {
    if (report.load[e] >= rare_load) continue;
    warnings.push_back(fmt::format(
        "{}: expert {} got {:.2f} % of the load in epoch {}; moe.balance.method: bias, a larger moe.balance.min and "
        "moe.balance.max or some moe.router.noise may bring it back, and moe.experts without it would cost less",
        layer.name, layer.experts[e], 100 * report.load[e], epoch));
  }
  return warnings;
}

}  // namespace codmoe::engine
