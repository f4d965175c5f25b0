#pragma once

#include <cstdint>
#include <vector>

#include "codmoe/metrics/confusion.h"

namespace codmoe::metrics {

/// What one image adds to a metric that is no function of a Confusion alone.
struct CurveScores {
  double adaptive = 0;        ///< at the adaptive threshold
  double binary = 0;          ///< of value > 0.5
  std::vector<double> curve;  ///< at thresholds 0 … 255, or 0 … 256, ascending; summed over the image's samples
  int64_t samples = 1;        ///< that the dataset's mean curve is taken over
  Confusion pooled;           ///< of value > 0.5, summed over the image's samples
};

}  // namespace codmoe::metrics
