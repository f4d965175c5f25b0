// Colours of natural places.
#pragma once

#include <array>

#include "codmoe/data/random.h"

namespace codmoe::data {

using Rgb = std::array<float, 3>;  // 0 ... 255

/// Two gradients from dark to light, and what lies between them.
class Palette {
 public:
  /// One of a few places, with the light and tint of the day.
  explicit Palette(Random& random);

  /// @param brightness,tint  0 ... 1: the place along the gradients, and between the two
  Rgb colour(float brightness, float tint) const;

 private:
  std::array<std::array<Rgb, 4>, 2> gradients_;
};

}  // namespace codmoe::data
