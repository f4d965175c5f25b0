#include "codmoe/data/augment_row.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "warp.h"

namespace codmoe::data {
namespace {

ops::AugmentMap augment_map(const Augmentation& augmentation, const ops::AugmentSource& source, int64_t size) {
  const Geometry geometry(augmentation, source.height, source.width, size);
  const auto map = geometry.map();
  const auto entry = [&](std::size_t i) { return static_cast<float>(map.at(i)); };
  const Shrink shrink = geometry.shrink();
  return {.xx = entry(0),
          .xy = entry(1),
          .x0 = entry(2),
          .yx = entry(3),
          .yy = entry(4),
          .y0 = entry(5),
          .taps = std::max(1, static_cast<int32_t>(std::max(shrink.x, shrink.y)))};
}

}  // namespace

ops::AugmentRectangle erased_pixels(const Erasing& erase, int64_t size) {
  const auto pixel = [size](double part) {
    return static_cast<int32_t>(std::lround(std::clamp(part, 0.0, 1.0) * static_cast<double>(size)));
  };
  return {pixel(erase.left), pixel(erase.top), pixel(erase.left + erase.width), pixel(erase.top + erase.height)};
}

uint32_t salt_pepper_share(double part) {
  return static_cast<uint32_t>(std::llround(part * std::numeric_limits<uint32_t>::max()));
}

ops::AugmentRow augment_row(const Augmentation& augmentation, int64_t size, const ops::AugmentSource& source,
                            const ops::AugmentSource& donor) {
  ops::AugmentRow row{.source = source, .map = augment_map(augmentation, source, size)};
  if (augmentation.paste) {
    row.donor = donor;
    row.donor_map = augment_map(placement_of(*augmentation.paste), donor, size);
  }
  row.sharpness = static_cast<float>(augmentation.sharpness);
  row.saturation = static_cast<float>(augmentation.saturation);
  row.contrast = static_cast<float>(augmentation.contrast);
  row.brightness = static_cast<float>(augmentation.brightness);
  if (augmentation.erase) {
    row.erased = erased_pixels(*augmentation.erase, size);
    row.erase_with_noise = augmentation.erase->fill == EraseFill::noise;
  }
  row.binary_mask = augmentation.binary_mask;
  row.salt_pepper = salt_pepper_share(augmentation.salt_pepper);
  row.seed = augmentation.noise_seed;
  return row;
}

}  // namespace codmoe::data
