#include "codmoe/report/paired.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "codmoe/core/error.h"
#include "codmoe/core/seed.h"
#include "codmoe/metrics/registry.h"
#include "other_scores.h"
#include "text.h"

namespace codmoe::report {
namespace {

constexpr uint64_t sign_changes = 9999;

std::vector<std::size_t> tested_columns() {
  std::vector<std::size_t> list;
  for (std::size_t i = 0; i < metrics::columns().size(); ++i) {
    const metrics::Column& column = metrics::columns()[i];
    if (column.headline && column.statistic != metrics::Statistic::curve_max) list.push_back(i);
  }
  return list;
}

std::vector<std::string> names_of(const std::vector<std::size_t>& columns) {
  std::vector<std::string> names;
  for (const std::size_t column : columns) names.push_back(metrics::columns()[column].name);
  return names;
}

/// @throws core::Error unless they are those of the run
void check_images(const std::filesystem::path& path, const ScoresByImage& others, const Evaluation& run) {
  std::vector<std::string> missing;
  std::map<ImageName, bool> expected;
  for (const DatasetResult& dataset : run.datasets()) {
    for (const ImageResult& image : dataset.images()) {
      const ImageName name{dataset.name(), image.item.name};
      expected[name] = true;
      if (!others.contains(name)) missing.push_back(name.first + "/" + name.second);
    }
  }
  std::vector<std::string> extra;
  for (const auto& [name, scores] : others) {
    if (!expected.contains(name)) extra.push_back(name.first + "/" + name.second);
  }
  std::string text;
  if (!missing.empty()) append(text, "; {} images are not in it: {}", missing.size(), list_names(missing, 5));
  if (!extra.empty()) append(text, "; {} of its images were not scored now: {}", extra.size(), list_names(extra, 5));
  if (!text.empty()) throw core::Error(fmt::format("{}: must hold the same images{}", path.string(), text));
}

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Share of sums with random signs that are as far from 0 as the sum itself, this one among them.
double sign_change_p(const std::vector<double>& differences) {
  const double sum = std::accumulate(differences.begin(), differences.end(), 0.0);
  const double least = std::abs(sum) * (1 - 1e-12);  // the same sum in another order may be rounded down
  uint64_t as_far = 1;
  for (uint64_t change = 0; change < sign_changes; ++change) {
    double changed = 0;
    uint64_t signs = 0;
    for (std::size_t k = 0; k < differences.size(); ++k, signs >>= 1) {
      if (k % 64 == 0) signs = core::mix_seed(1, change, k / 64);
      changed += (signs & 1) != 0 ? differences[k] : -differences[k];
    }
    as_far += std::abs(changed) >= least ? 1 : 0;
  }
  return static_cast<double>(as_far) / static_cast<double>(sign_changes + 1);
}

PairedDifference compare_column(const DatasetResult& dataset, const ScoresByImage& others, std::size_t column,
                                std::size_t place) {
  std::vector<double> ours;
  std::vector<double> theirs;
  std::vector<double> differences;
  for (const ImageResult& image : dataset.images()) {
    const double value = image.values[column];
    const double other = others.at({dataset.name(), image.item.name}).at(place);
    if (std::isnan(value) || std::isnan(other)) continue;
    ours.push_back(value);
    theirs.push_back(other);
    differences.push_back(value - other);
  }
  PairedDifference result;
  result.dataset = dataset.name();
  result.score = metrics::columns()[column].name;
  result.n = ours.size();
  if (ours.empty()) return result;
  result.mean = mean_of(ours);
  result.other_mean = mean_of(theirs);
  result.difference = bootstrap_interval(differences);
  result.p = sign_change_p(differences);
  return result;
}

}  // namespace

std::vector<PairedDifference> compare_with(const std::filesystem::path& csv, std::span<const Evaluation> runs) {
  const std::vector<std::size_t> columns = tested_columns();
  const ScoresByImage others = read_scores(csv, names_of(columns));
  std::vector<PairedDifference> list;
  for (const Evaluation& run : runs) {
    check_images(csv, others, run);
    for (const DatasetResult& dataset : run.datasets()) {
      for (std::size_t place = 0; place < columns.size(); ++place) {
        list.push_back(compare_column(dataset, others, columns[place], place));
        list.back().run = run.run();
      }
    }
  }
  return list;
}

std::string format_differences(const std::filesystem::path& csv, const std::vector<PairedDifference>& differences) {
  std::vector<std::vector<std::string>> rows{
      {"run", "dataset", "score", "n", "now", "other", "change", "95 % interval", "p"}};
  for (const PairedDifference& d : differences) {
    rows.push_back({d.run, d.dataset, d.score, fmt::format("{}", d.n), fmt::format("{:.4f}", d.mean),
                    fmt::format("{:.4f}", d.other_mean), fmt::format("{:+.4f}", d.mean - d.other_mean),
                    fmt::format("{:+.4f} {:+.4f}", d.difference.low, d.difference.high), fmt::format("{:.4f}", d.p)});
  }
  return fmt::format("against {}, image by image (95 % interval by bootstrap, p by {} sign changes):\n{}", csv.string(),
                     sign_changes, align(rows, 3));
}

}  // namespace codmoe::report
