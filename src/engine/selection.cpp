#include "codmoe/engine/selection.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>

#include "codmoe/metrics/batch_scores.h"
#include "codmoe/metrics/registry.h"

namespace codmoe::engine {

namespace {

/// Of the scores that a validation computes.
std::vector<std::string> names_at(ValResolution resolution) {
  if (resolution == ValResolution::network) return metrics::BatchScores::names();
  std::vector<std::string> names;
  for (const auto& column : metrics::columns()) {
    if (!column.extended) names.push_back(column.name);
  }
  return names;
}

bool is_higher_better(const std::string& name) {
  return std::ranges::find(metrics::columns(), name, &metrics::Column::name)->higher_is_better;
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
  const auto names = names_at(val_resolution);
  if (std::ranges::find(names, best) != names.end()) return;
  throw core::BadOption("best", fmt::format("'{}' is no score of a validation with val_resolution: {}; allowed are {}",
                                            best, core::name_of(val_resolution), fmt::join(names, ", ")));
}

std::string best_metric(const EngineOptions& options) {
  return options.best + (options.val_resolution == ValResolution::network ? " at network resolution" : "");
}

void forget_best(Progress& progress) {
  progress.best_step = -1;
  progress.since_best = 0;
}

bool note_validation(Progress& progress, const Scores& scores, const EngineOptions& options) {
  if (const auto metric = best_metric(options); progress.best_metric != metric) begin_anew_for(metric, progress);
  const double score = scores.at(options.best);
  const bool higher = is_higher_better(options.best);
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
