#pragma once

#include "codmoe/metrics/image_pair.h"

namespace codmoe::metrics {

/// Structure measure in [0, 1], alpha = 0.5: half object-aware, half region-aware similarity. NaN where the mask's
/// centroid lies in the last row or column, so that a quadrant has no pixels: the reference's value too. Fan et al.,
/// Structure-measure: a new way to evaluate foreground maps, ICCV 2017.
double s_measure(const ImagePair& pair);

}  // namespace codmoe::metrics
