#pragma once

#include "codmoe/metrics/image_pair.h"

namespace codmoe::metrics {

/// Context measure in [0, 1], alpha 6, beta 1: how much of the prediction lies in the mask's context, and how much of
/// the mask in the prediction's, context being a Gaussian of the mask's own shape. NaN where that shape is a slanted
/// line, whose covariance is singular: the reference fails. All in double; PySODMetrics 1.6.2 filters the mask in
/// float32, so that its own value has 6 to 7 digits. Wang et al., Context-measure, arXiv 2512.07076, 2025.
double context_measure(const ImagePair& pair);

}  // namespace codmoe::metrics
