#pragma once

#include <vector>

#include "codmoe/metrics/image_pair.h"

namespace codmoe::metrics {

/// Bounding box of a target; half open.
struct TargetBox {
  int64_t top, bottom, left, right;

  int64_t area() const { return (bottom - top) * (right - left); }
};

/// Of the 4-connected parts of the mask with at least 50 pixels or, where there is none, of the largest.
std::vector<TargetBox> find_targets(const ImagePair& pair);

/// Pixels within the box.
LevelCounts count_within(const ImagePair& pair, const TargetBox& box);

}  // namespace codmoe::metrics
