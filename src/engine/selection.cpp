#include "codmoe/engine/selection.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>

#include "codmoe/metrics/registry.h"

namespace codmoe::engine {

namespace {

/// Of those that a validation computes.
const metrics::Column* find_column(const std::string& name) {
  const auto& columns = metrics::columns();
  const auto found = std::ranges::find_if(columns, [&](const auto& c) { return c.name == name && !c.extended; });
  return found == columns.end() ? nullptr : &*found;
}

void begin_anew_for(const std::string& metric, Progress& progress) {
  if (progress.best_step >= 0) {
    spdlog::info("the best so far, after step {}, was chosen by {}; {} begins anew", progress.best_step,
                 progress.best_metric, metric);
  }
  forget_best(progress);
  progress.best_metric = metric;
}

}  // namespace

void EngineOptions::check() const {
  if (find_column(best) != nullptr) return;
  std::vector<std::string> names;
  for (const auto& column : metrics::columns()) {
    if (!column.extended) names.push_back(column.name);
  }
  throw core::BadOption("best",
                        fmt::format("'{}' is no score of a validation; allowed are {}", best, fmt::join(names, ", ")));
}

void forget_best(Progress& progress) {
  progress.best_step = -1;
  progress.since_best = 0;
}

bool note_validation(Progress& progress, const metrics::Summary& summary, const EngineOptions& options) {
  if (progress.best_metric != options.best) begin_anew_for(options.best, progress);
  const double score = summary.at(options.best);
  const bool higher = find_column(options.best)->higher_is_better;
  const bool first = progress.best_step < 0 && !std::isnan(score);
  const bool better = first || (higher ? score > progress.best_score : score < progress.best_score);
  progress.since_best = better ? 0 : progress.since_best + 1;
  if (better) {
    progress.best_score = score;
    progress.best_step = progress.step;
  }
  return better;
}

bool out_of_patience(const Progress& progress, const EngineOptions& options) {
  return options.patience > 0 && progress.since_best >= options.patience;
}

}  // namespace codmoe::engine
