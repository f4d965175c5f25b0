#pragma once

#include "codmoe/metrics/image_pair.h"

namespace codmoe::metrics {

/// Weighted F-measure in [0, 1], beta = 1: errors spread to their neighbourhood inside the object and weighted by the
/// distance from it outside. 0 for an empty mask. Margolin, Zelnik-Manor, Tal, How to evaluate foreground maps?, CVPR
/// 2014.
double weighted_f_measure(const ImagePair& pair);

}  // namespace codmoe::metrics
