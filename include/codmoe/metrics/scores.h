// Scores of images and of datasets.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "codmoe/metrics/curve_scores.h"
#include "codmoe/metrics/image_pair.h"

namespace codmoe::metrics {

/// What one image contributes; about 2 KiB, with the extended metrics 6.
struct ImageScores {
  std::vector<double> values;  ///< in the order of scalar_metrics(); NaN where not computed
  ThresholdCounts counts;
  Confusion adaptive;               ///< value >= adaptive threshold
  Confusion binary;                 ///< value > 0.5
  std::vector<CurveScores> curves;  ///< in the order of curve_metrics(); empty where not computed
};

/// All metrics of one image. @param pred_hw uint8 [H, W]; @param mask_hw uint8 [H, W]; see make_image_pair, for errors
/// too
ImageScores score_image(const at::Tensor& pred_hw, const at::Tensor& mask_hw, const ScoreOptions& options = {});

/// Scores of a dataset, or of one image.
struct Summary {
  int64_t n = 0;
  std::vector<double> values;  ///< in the order of columns(); NaN where not computed, and for all where n is 0
  std::vector<Curve> curves;   ///< mean over images, in the order of threshold_metrics()

  /// @throws core::Error for a name not in columns()
  double at(std::string_view name) const;
  /// @param key of a ThresholdMetric; @throws core::Error for any other
  const Curve& curve(std::string_view key) const;
};

/// Means over images, in the order they are added.
class ScoreAccumulator {
 public:
  ScoreAccumulator();
  void add(const ImageScores& image);
  int64_t size() const { return n_; }
  Summary summary() const;

 private:
  int64_t n_ = 0;
  std::vector<double> values_;
  std::vector<CurveScores> sums_;        // of the threshold metrics; their pooled counts are one
  std::vector<CurveScores> curve_sums_;  // of the curve metrics; no curve where an image has none
  Confusion pooled_;
};

/// One image's own scores: the summary of a dataset of one.
Summary summarize(const ImageScores& image);

}  // namespace codmoe::metrics
