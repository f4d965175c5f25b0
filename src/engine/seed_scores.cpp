#include "codmoe/engine/seed_scores.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace codmoe::engine {

namespace {

using core::Json;
constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

struct Spread {
  double mean = kUndefined;
  double sd = kUndefined;
};

double score_of(const SeedScores& run, const std::string& name) {
  const auto value = run.scores.value(name, Json());
  return value.is_number() ? value.get<double>() : kUndefined;
}

Spread spread_of(const std::vector<SeedScores>& runs, const std::string& name) {
  const auto n = static_cast<double>(runs.size());
  double sum = 0.0, squares = 0.0;
  for (const auto& run : runs) sum += score_of(run, name);
  for (const auto& run : runs) squares += std::pow(score_of(run, name) - sum / n, 2);
  return {.mean = sum / n, .sd = runs.size() > 1 ? std::sqrt(squares / (n - 1)) : kUndefined};
}

/// Of the first run: all have the same.
std::vector<std::string> score_names(const std::vector<SeedScores>& runs) {
  std::vector<std::string> names;
  if (runs.empty()) return names;
  for (const auto& [name, value] : runs.front().scores.items()) names.push_back(name);
  return names;
}

}  // namespace

Json seeds_json(const std::vector<SeedScores>& runs) {
  Json json = {{"seeds", Json::object()}, {"mean", Json::object()}, {"sd", Json::object()}};
  for (const auto& run : runs) {
    auto& entry = json["seeds"][std::to_string(run.seed)] = {{"step", run.step}};
    entry.update(run.scores);
  }
  for (const auto& name : score_names(runs)) {
    const auto [mean, sd] = spread_of(runs, name);
    json["mean"][name] = mean;  // NaN is written as null
    json["sd"][name] = sd;
  }
  return json;
}

std::string seeds_table(const std::vector<SeedScores>& runs) {
  std::string text = fmt::format("{:<12}{:>18}", "", "mean ± sd");
  for (const auto& run : runs) text += fmt::format("{:>10}", fmt::format("seed {}", run.seed));
  text += "\n";
  for (const auto& name : score_names(runs)) {
    const auto [mean, sd] = spread_of(runs, name);
    const auto spread = runs.size() > 1 ? fmt::format("{:.4f} ± {:.4f}", mean, sd) : fmt::format("{:.4f}", mean);
    text += fmt::format("{:<12}{:>18}", name, spread);
    for (const auto& run : runs) text += fmt::format("{:>10.4f}", score_of(run, name));
    text += "\n";
  }
  return text;
}

}  // namespace codmoe::engine
