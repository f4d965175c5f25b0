#include "codmoe/metrics/scores.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>

#include "codmoe/core/error.h"
#include "codmoe/metrics/registry.h"

namespace codmoe::metrics {
namespace {

template <class List, class Name>
std::size_t place_of(const List& list, std::string_view name, const Name& name_of) {
  const auto found = std::find_if(list.begin(), list.end(), [&](const auto& entry) { return name_of(entry) == name; });
  if (found != list.end()) return static_cast<std::size_t>(found - list.begin());
  std::string known;
  for (const auto& entry : list) known += (known.empty() ? "" : ", ") + std::string(name_of(entry));
  throw core::Error("no metric is called " + std::string(name) + "; known are: " + known);
}

}  // namespace

ImageScores score_image(const at::Tensor& pred_hw, const at::Tensor& mask_hw, const ScoreOptions& options) {
  const ImagePair pair = make_image_pair(pred_hw, mask_hw, options);
  ImageScores scores;
  scores.counts = pair.all_thresholds();
  scores.adaptive = pair.at_least(pair.adaptive_threshold);
  scores.binary = pair.above(0.5);
  for (const ScalarMetric& metric : scalar_metrics()) scores.values.push_back(metric.score(pair));
  return scores;
}

double Summary::at(std::string_view name) const {
  return values[place_of(columns(), name, [](const Column& column) { return std::string_view(column.name); })];
}

const Curve& Summary::curve(std::string_view key) const {
  return curves[place_of(threshold_metrics(), key, [](const ThresholdMetric& metric) { return metric.key; })];
}

ScoreAccumulator::ScoreAccumulator() : values_(scalar_metrics().size()), sums_(threshold_metrics().size()) {}

void ScoreAccumulator::add(const ImageScores& image) {
  ++n_;
  pooled_ += image.binary;
  for (std::size_t i = 0; i < values_.size(); ++i) values_[i] += image.values.at(i);
  for (std::size_t i = 0; i < sums_.size(); ++i) {
    const auto score = threshold_metrics()[i].score;
    sums_[i].adaptive += score(image.adaptive);
    sums_[i].binary += score(image.binary);
    for (int t = 0; t < thresholds; ++t) sums_[i].curve[static_cast<std::size_t>(t)] += score(image.counts.at(t));
  }
}

Summary ScoreAccumulator::summary() const {
  const auto mean = [this](double sum) { return sum / static_cast<double>(n_); };
  Summary result;
  result.n = n_;
  for (const ThresholdSums& sums : sums_) {
    std::transform(sums.curve.begin(), sums.curve.end(), result.curves.emplace_back().begin(), mean);
  }
  const auto value_of = [&](const Column& column) {
    if (n_ == 0) return std::numeric_limits<double>::quiet_NaN();
    if (column.statistic == Statistic::value) return mean(values_[column.metric]);
    const Curve& curve = result.curves[column.metric];
    switch (column.statistic) {
      case Statistic::adaptive:
        return mean(sums_[column.metric].adaptive);
      case Statistic::curve_mean:
        return std::accumulate(curve.begin(), curve.end(), 0.0) / thresholds;
      case Statistic::curve_max:
        return *std::max_element(curve.begin(), curve.end());
      case Statistic::binary:
        return mean(sums_[column.metric].binary);
      default:
        return threshold_metrics()[column.metric].score(pooled_);
    }
  };
  for (const Column& column : columns()) result.values.push_back(value_of(column));
  return result;
}

Summary summarize(const ImageScores& image) {
  ScoreAccumulator accumulator;
  accumulator.add(image);
  return accumulator.summary();
}

}  // namespace codmoe::metrics
