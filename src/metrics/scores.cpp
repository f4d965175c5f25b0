#include "codmoe/metrics/scores.h"

#include <algorithm>
#include <functional>
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

constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

void add_to(CurveScores& sums, const CurveScores& image) {
  sums.adaptive += image.adaptive;
  sums.binary += image.binary;
  sums.pooled += image.pooled;
  sums.samples += image.samples;
  sums.curve.resize(image.curve.size());
  std::transform(image.curve.begin(), image.curve.end(), sums.curve.begin(), sums.curve.begin(), std::plus<>());
}

// @param n images; @param samples that the curve was summed over
double statistic_of(const Column& column, const CurveScores& sums, int64_t n, int64_t samples,
                    double (*score)(const Confusion&), const Confusion& pooled) {
  const auto curve_size = static_cast<double>(sums.curve.size());
  switch (column.statistic) {
    case Statistic::adaptive:
      return sums.adaptive / static_cast<double>(n);
    case Statistic::curve_mean:
      return std::accumulate(sums.curve.begin(), sums.curve.end(), 0.0) / static_cast<double>(samples) / curve_size;
    case Statistic::curve_max:
      return *std::max_element(sums.curve.begin(), sums.curve.end()) / static_cast<double>(samples);
    case Statistic::binary:
      return sums.binary / static_cast<double>(n);
    default:
      return score(pooled);
  }
}

}  // namespace

ImageScores score_image(const at::Tensor& pred_hw, const at::Tensor& mask_hw, const ScoreOptions& options) {
  const ImagePair pair = make_image_pair(pred_hw, mask_hw, options);
  ImageScores scores;
  scores.counts = pair.all_thresholds();
  scores.adaptive = pair.at_least(pair.adaptive_threshold);
  scores.binary = pair.above(0.5);
  for (const ScalarMetric& metric : scalar_metrics()) {
    scores.values.push_back(options.extended || !metric.extended ? metric.score(pair) : undefined);
  }
  if (!options.extended) return scores;
  for (const CurveMetric& metric : curve_metrics()) scores.curves.push_back(metric.score(pair));
  return scores;
}

double Summary::at(std::string_view name) const {
  return values[place_of(columns(), name, [](const Column& column) { return std::string_view(column.name); })];
}

const Curve& Summary::curve(std::string_view key) const {
  return curves[place_of(threshold_metrics(), key, [](const ThresholdMetric& metric) { return metric.key; })];
}

ScoreAccumulator::ScoreAccumulator()
    : values_(scalar_metrics().size()),
      sums_(threshold_metrics().size(), CurveScores{.curve = std::vector<double>(thresholds), .pooled = {}}),
      curve_sums_(curve_metrics().size()) {
  for (CurveScores& sums : curve_sums_) sums.samples = 0;
}

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
  for (std::size_t i = 0; i < image.curves.size(); ++i) add_to(curve_sums_[i], image.curves[i]);
}

Summary ScoreAccumulator::summary() const {
  Summary result;
  result.n = n_;
  for (const CurveScores& sums : sums_) {
    std::transform(sums.curve.begin(), sums.curve.end(), result.curves.emplace_back().begin(),
                   [this](double sum) { return sum / static_cast<double>(n_); });
  }
  const auto value_of = [&](const Column& column) {
    if (n_ == 0) return undefined;
    switch (column.kind) {
      case MetricKind::scalar:
        return values_[column.metric] / static_cast<double>(n_);
      case MetricKind::threshold:
        return statistic_of(column, sums_[column.metric], n_, n_, threshold_metrics()[column.metric].score, pooled_);
      default:
        const CurveScores& sums = curve_sums_[column.metric];
        return sums.curve.empty()
                   ? undefined
                   : statistic_of(column, sums, n_, sums.samples, curve_metrics()[column.metric].pooled, sums.pooled);
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
