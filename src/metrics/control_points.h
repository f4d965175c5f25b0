#pragma once

#include <cstdint>
#include <vector>

namespace codmoe::metrics {

struct ContourPoint {
  int32_t x;
  int32_t y;
};

/// Corners of the polygon that stays within 2 pixels of an open curve of distinct points, by Ramer, Douglas and
/// Peucker, less those in the middle of an almost straight line. That of OpenCV 4.14's approxPolyDP: older ones measure
/// distances to the infinite line, so that the reference's human correction effort depends on their version.
int64_t control_points(const std::vector<ContourPoint>& curve);

}  // namespace codmoe::metrics
