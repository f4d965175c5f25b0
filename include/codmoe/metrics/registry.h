// The one list of metrics: tables, JSON and CSV are read from it. A new metric is its own header and source, and one
// line in registry.cpp.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "codmoe/metrics/curve_scores.h"
#include "codmoe/metrics/image_pair.h"

namespace codmoe::metrics {

/// One number an image; a dataset's score is the mean.
struct ScalarMetric {
  std::string_view name;
  double (*score)(const ImagePair&);
  bool higher_is_better;
  bool extended = false;  ///< computed with ScoreOptions::extended alone
};

/// A measure of a binary decision: adaptive threshold (adp), mean and max of the dataset's average curve, and, where
/// `binary_key` is not empty, the decision value > 0.5, averaged over images (sample_bi) or pooled (overall_bi).
struct ThresholdMetric {
  std::string_view key;         ///< "Fm" in adpFm, meanFm, maxFm
  std::string_view binary_key;  ///< "fm" in sample_bifm, overall_bifm
  double (*score)(const Confusion&);
  bool higher_is_better;
};

/// The same scores of a metric that needs more than counts of pixels. All are extended.
struct CurveMetric {
  std::string_view key;
  CurveScores (*score)(const ImagePair&);
  double (*pooled)(const Confusion&);  ///< none, null: no overall_bi
  bool higher_is_better;
};

/// The list that a column's metric is in.
enum class MetricKind { scalar, threshold, curve };

/// How a column comes of a metric: a ScalarMetric's mean, or one of the others' as described there.
enum class Statistic { value, adaptive, curve_mean, curve_max, binary, pooled };

/// One number of a summary.
struct Column {
  std::string name;  ///< PySODMetrics' name; "IoU" is its sample_biiou
  MetricKind kind;
  Statistic statistic;
  std::size_t metric;  ///< place in the list
  bool higher_is_better;
  bool headline;  ///< shown in the terminal's table
  bool extended;

  /// Otherwise the column holds NaN and is not shown.
  bool is_scored(const ScoreOptions& options) const { return options.extended || !extended; }
};

/// The lists, in the order of the tables.
const std::vector<ScalarMetric>& scalar_metrics();
const std::vector<ThresholdMetric>& threshold_metrics();
const std::vector<CurveMetric>& curve_metrics();
const std::vector<Column>& columns();

}  // namespace codmoe::metrics
