// Where the pixels of a resampled sample come from.
#pragma once

#include <array>
#include <cstdint>

#include "codmoe/data/augment.h"

namespace codmoe::data {

/// Source pixels a step of one target pixel, along the source's axes.
struct Shrink {
  double x;
  double y;
};

/// From the centre of a target pixel to a place in the source, both with pixel centres at whole numbers: row 0 gives
/// x = map[0] * x' + map[1] * y' + map[2], row 1 y.
using AffineMap = std::array<double, 6>;

/// The affine map of one augmentation, of a source of some size to a target of size x size.
class Geometry {
 public:
  Geometry(const Augmentation& augmentation, int64_t height, int64_t width, int64_t size);

  Shrink shrink() const;
  /// Without the mirror image, of a source that is scaled by these ratios.
  AffineMap unmirrored(double ratio_x = 1.0, double ratio_y = 1.0) const;
  /// With the mirror image.
  AffineMap map() const;

 private:
  double size_;
  bool flip_;
  double cosine_, sine_;
  double step_x_, step_y_;      // source pixels a target pixel, before the rotation
  double centre_x_, centre_y_;  // what the target's centre shows
};

/// What lies beyond a sample's border.
enum class Beyond {
  mirrored,  ///< photograph and mask
  no_object  ///< the photograph, mirrored; its mask is 0
};

/// Photograph and mask resampled to size x size.
Sample resample(const Sample& sample, int64_t size, const Augmentation& augmentation, Beyond beyond = Beyond::mirrored);

/// The donor's geometry as that of a sample.
Augmentation placement_of(const Pasting& paste);

}  // namespace codmoe::data
