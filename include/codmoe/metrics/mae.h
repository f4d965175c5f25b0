#pragma once

#include "codmoe/metrics/image_pair.h"

namespace codmoe::metrics {

/// Mean of |value - mask| over the pixels.
double mean_absolute_error(const ImagePair& pair);

}  // namespace codmoe::metrics
