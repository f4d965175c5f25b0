#pragma once

#include <cstdint>
#include <vector>

namespace codmoe::metrics {

/// Thins a mask of 0 and 1, [height, width] row-major, to lines of one pixel, by removing pixels from two sides in turn
/// until nothing changes. Zhang, Suen, A fast parallel algorithm for thinning digital patterns, CACM 1984, with the
/// choice of pixels of scikit-image 0.25.
std::vector<uint8_t> skeleton(const uint8_t* mask, int64_t height, int64_t width);

}  // namespace codmoe::metrics
