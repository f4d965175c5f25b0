// One prediction beside its mask, prepared once for all metrics.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

#include "codmoe/metrics/confusion.h"

namespace codmoe::metrics {

/// How a prediction is read, and which metrics are computed.
struct ScoreOptions {
  bool normalize = true;  ///< stretch each prediction to [0, 1] by its own minimum and maximum, unless it is constant
  bool extended = false;  ///< also the metrics marked so in registry.h, which take far longer than all others together

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("normalize", normalize);
    visit("extended", extended);
  }
};

/// Pixels by mask (0 background, 1 foreground) and grey level of the prediction.
using LevelCounts = std::array<std::array<int64_t, 256>, 2>;

/// All that decisions by a threshold need.
struct GreyHistogram {
  LevelCounts levels{};
  std::array<double, 256> value{};  ///< of each grey level that occurs, in [0, 1]; ascending

  int64_t foreground() const;  ///< pixels of the mask

  /// Decisions `value >= threshold`.
  Confusion at_least(double threshold) const;
  /// Decisions `value > threshold`.
  Confusion above(double threshold) const;
  /// Decisions at the thresholds 0 … 255 of trunc(255 value).
  ThresholdCounts all_thresholds() const;
};

/// One of the four parts that the mask's centroid cuts an image into.
struct Quadrant {
  int64_t height = 0;
  int64_t width = 0;
  LevelCounts levels{};
};

/// Most metrics are functions of these histograms alone.
struct ImagePair : GreyHistogram {
  int64_t height = 0;
  int64_t width = 0;
  at::Tensor pred_hw;                   ///< uint8, contiguous
  at::Tensor mask_hw;                   ///< uint8, contiguous, 0 or 1
  std::array<Quadrant, 4> quadrants{};  ///< top left, top right, bottom left, bottom right
  double adaptive_threshold = 0;        ///< twice the mean value, at most 1

  int64_t size() const { return height * width; }
};

/// Follows PySODMetrics 1.6.2 to the bit where a decision hangs on it: mask > 128, value = level / 255, then stretched.
/// @param pred_hw uint8 [H, W], CPU; @param mask_hw uint8 [H, W] 0…255, CPU; 1 <= H, W <= 32767
/// @throws c10::Error for other shapes or types
ImagePair make_image_pair(const at::Tensor& pred_hw, const at::Tensor& mask_hw, const ScoreOptions& options = {});

}  // namespace codmoe::metrics
