#pragma once

#include "codmoe/metrics/curve_scores.h"
#include "codmoe/metrics/image_pair.h"

namespace codmoe::metrics {

/// Multi-scale IoU, at 257 thresholds: the area under the curve, over grid cells of 1, 2, 4 … 512 pixels, of how much
/// of the mask's edge the decision's edge meets. Edges are where a 3x3 Sobel gradient is not 0, with zeros around the
/// image; grids are laid from the bottom right corner. As in PySODMetrics 1.6.2, cells of the decision's edge off the
/// mask's edge cost nothing, and the mask's cells are counted in float16: from 2049 on rounded, above 65519 infinite,
/// which makes the share 0. Ahmadzadeh, Kempton, Chen, Angryk, Multiscale IOU, ICIP 2021.
CurveScores multiscale_iou(const ImagePair& pair);

}  // namespace codmoe::metrics
