// Size-invariant scores: each target of the mask counts alike, whatever its size. Li et al., Size-invariance matters,
// ICML 2024, as in PySODMetrics 1.6.2. A target is a 4-connected part of the mask of at least 50 pixels; where there is
// none, each of the largest parts. It is scored within its bounding box.
#pragma once

#include "codmoe/metrics/curve_scores.h"
#include "codmoe/metrics/image_pair.h"

namespace codmoe::metrics {

/// Mean absolute error of the boxes, and of the rest of the image weighted by the ratio of its area to theirs. Of an
/// empty mask the plain one; NaN where the boxes cover the image. (The reference fails for a full mask and from 65
/// targets on, and miscounts from 54 on, for it keeps them as bits of a float64.)
double size_invariant_mae(const ImagePair& pair);

/// F-measure, beta squared 0.3, of the image as if it were empty outside a target's box; mean over targets. The curve's
/// mean is over the targets of all images, and the pooled counts are their sum.
CurveScores size_invariant_f_measure(const ImagePair& pair);

}  // namespace codmoe::metrics
