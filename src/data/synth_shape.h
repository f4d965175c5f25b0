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

/// How many objects there are, and how they lie.
struct ObjectPlan {
  int64_t min_count = 1;
  int64_t max_count = 3;
  float axes = 1;          ///< size of the blobs before they are cut to the coverage; small objects need small ones
  bool scattered = false;  ///< any number is as likely as another and they keep apart; otherwise few are likelier
};

/// Smooth blobs that cover `coverage` of a size x size image to the pixel.
Shape make_shape(int64_t size, double coverage, const ObjectPlan& plan, Random& random);

}  // namespace codmoe::data
