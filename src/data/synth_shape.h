// Where the objects of a synthetic photograph are.
#pragma once

#include <cstdint>
#include <vector>

#include "codmoe/data/random.h"

namespace codmoe::data {

/// One value a pixel, row by row.
struct Shape {
  std::vector<float> distance;  ///< pixels to the outline, about; positive inside
  int64_t pixels_inside = 0;
};

/// One to `max_objects` smooth blobs that cover `coverage` of a size x size image to the pixel.
Shape make_shape(int64_t size, double coverage, int64_t max_objects, Random& random);

}  // namespace codmoe::data
