#pragma once

#include "codmoe/metrics/image_pair.h"

namespace codmoe::metrics {

/// Human correction effort: clicks that would put value > 0.5 right, being control points of the wrong regions'
/// outlines and wrong regions that stand alone. Errors within 5 pixels of a right border are forgiven, unless they hold
/// a part of the mask's skeleton. At least 0, lower is better. Qin et al., Highly accurate dichotomous image
/// segmentation, ECCV 2022.
double human_correction_effort(const ImagePair& pair);

}  // namespace codmoe::metrics
