// One prediction beside its mask, prepared once for all metrics.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

#include "codmoe/metrics/confusion.h"

namespace codmoe::metrics {

/// How a prediction is read.
struct ScoreOptions {
  bool normalize = true;  ///< stretch each prediction to [0, 1] by its own minimum and maximum, unless it is constant

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("normalize", normalize);
  }
};

/// Pixels by mask (0 background, 1 foreground) and grey level of the prediction.
using LevelCounts = std::array<std::array<int64_t, 256>, 2>;

/// One of the four parts that the mask's centroid cuts an image into.
struct Quadrant {
  int64_t height = 0;
  int64_t width = 0;
  LevelCounts levels{};
};

/// Every metric but the weighted F-measure is a function of these histograms alone.
struct ImagePair {
  int64_t height = 0;
  int64_t width = 0;
  at::Tensor pred_hw;               ///< uint8, contiguous
  at::Tensor mask_hw;               ///< uint8, contiguous, 0 or 1
  std::array<double, 256> value{};  ///< of each grey level that occurs, in [0, 1]
  LevelCounts levels{};
  std::array<Quadrant, 4> quadrants{};  ///< top left, top right, bottom left, bottom right
  double adaptive_threshold = 0;        ///< twice the mean value, at most 1

  int64_t size() const { return height * width; }
  int64_t foreground() const;  ///< pixels of the mask

  /// Decisions `value >= threshold`.
  Confusion at_least(double threshold) const;
  /// Decisions `value > threshold`.
  Confusion above(double threshold) const;
  /// Decisions at the thresholds 0 … 255 of trunc(255 value).
  ThresholdCounts all_thresholds() const;
};

/// Follows PySODMetrics 1.6.2 to the bit where a decision hangs on it: mask > 128, value = level / 255, then stretched.
/// @param pred_hw uint8 [H, W], CPU; @param mask_hw uint8 [H, W] 0…255, CPU; 1 <= H, W <= 32767
/// @throws c10::Error for other shapes or types
ImagePair make_image_pair(const at::Tensor& pred_hw, const at::Tensor& mask_hw, const ScoreOptions& options = {});

}  // namespace codmoe::metrics
