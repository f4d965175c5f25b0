#pragma once

#include "codmoe/metrics/image_pair.h"

namespace codmoe::metrics {

/// Sum of |value - mask| over the pixels.
double absolute_error(const GreyHistogram& grey);

/// Mean of |value - mask| over the pixels, in [0, 1]. Perazzi et al., Saliency filters, CVPR 2012.
double mean_absolute_error(const ImagePair& pair);

}  // namespace codmoe::metrics
