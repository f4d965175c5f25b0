#include "score_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "codmoe/report/checksum.h"

namespace codmoe::report {
namespace {

// What is compared: readers see no more digits.
double rounded(double score) { return std::round(score * 1e4); }

void mark_best(std::span<ScoreRow> of_dataset) {
  for (std::size_t i = 0; of_dataset.size() > 1 && i < metrics::columns().size(); ++i) {
    const double sign = metrics::columns()[i].higher_is_better ? 1 : -1;
    double best = -INFINITY;
    for (const ScoreRow& row : of_dataset) best = std::fmax(best, sign * rounded(row.summary.values[i]));
    for (ScoreRow& row : of_dataset) row.is_best[i] = sign * rounded(row.summary.values[i]) == best;
  }
}

}  // namespace

const std::vector<std::size_t>& headline_columns() {
  static const std::vector<std::size_t> list = [] {
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < metrics::columns().size(); ++i) {
      if (metrics::columns()[i].headline) places.push_back(i);
    }
    return places;
  }();
  return list;
}

std::string format_score(double score) { return fmt::format("{:.4f}", score); }

std::vector<ScoreRow> score_rows(std::span<const Evaluation> runs) {
  std::vector<std::string> names;
  for (const Evaluation& run : runs) {
    for (const DatasetResult& dataset : run.datasets()) {
      if (std::ranges::find(names, dataset.name()) == names.end()) names.push_back(dataset.name());
    }
  }
  std::vector<ScoreRow> rows;
  for (const std::string& name : names) {
    const std::size_t first = rows.size();
    for (const Evaluation& run : runs) {
      for (const DatasetResult& dataset : run.datasets()) {
        if (dataset.name() != name) continue;
        rows.push_back({&run, &dataset, dataset.summary(), std::vector<bool>(metrics::columns().size())});
      }
    }
    mark_best(std::span(rows).subspan(first));
  }
  return rows;
}

std::string label_of(const ScoreRow& row, std::span<const Evaluation> runs) {
  return (runs.size() > 1 ? row.run->run() + ", " : "") + row.dataset->name();
}

std::string inputs_of(const ScoreRow& row, std::span<const Evaluation> runs) {
  const auto [masks, predictions] = checksums(*row.dataset);
  return fmt::format("inputs: {}: n {}, masks {}, predictions {}", label_of(row, runs), row.summary.n, masks,
                     predictions);
}

}  // namespace codmoe::report
