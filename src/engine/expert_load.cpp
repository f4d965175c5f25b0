#include "codmoe/engine/expert_load.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

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

std::vector<std::string> rare_experts(const moe::LoadReport& report, const report::ExpertLayer& layer) {
  std::vector<std::string> names;
  for (std::size_t e = 0; e < report.load.size(); ++e) {
    if (report.load[e] < rare_load) names.push_back(layer.experts[e]);
  }
  return names;
}

namespace {

std::string_view remedy(moe::BalanceMethod method) {
  switch (method) {
    case moe::BalanceMethod::loss:
      return "moe.balance.method: bias, a larger moe.balance.min and moe.balance.max";
    case moe::BalanceMethod::bias:
      return "a larger moe.balance.rate";
    case moe::BalanceMethod::off:
      return "moe.balance.method: loss or bias";
  }
  return "";
}

}  // namespace

std::string rare_expert_warning(const moe::LoadReport& report, const report::ExpertLayer& layer, int64_t epoch,
                                moe::BalanceMethod method) {
  return fmt::format(
      "{}: in epoch {} less than {} % of the load went to each of: {}; {} or some moe.router.noise may bring them "
      "back, "
      "and moe.experts without them would cost less",
      layer.name, epoch, 100 * rare_load, fmt::join(rare_experts(report, layer), ", "), remedy(method));
}

}  // namespace codmoe::engine
