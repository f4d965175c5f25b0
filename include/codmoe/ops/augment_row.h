// What the augmentation kernels read for each sample of a batch. Without LibTorch, since kernels include it too.
#pragma once

#include <cstdint>
#include <type_traits>

namespace codmoe::ops {

/// Photograph [H, W, 3] and mask [H, W] in a buffer of bytes.
struct AugmentSource {
  int64_t image = 0, mask = 0;  ///< where they begin
  int32_t height = 0, width = 0;
};

/// From target pixel to source pixel, both with pixel centres at whole numbers: x = xx * x' + xy * y' + x0.
struct AugmentMap {
  float xx = 1.0F, xy = 0.0F, x0 = 0.0F;
  float yx = 0.0F, yy = 1.0F, y0 = 0.0F;
  int32_t taps = 1;  ///< the mean of taps x taps places within a target pixel, where the map shrinks
};

/// Target pixels; `right` and `bottom` are the first that don't belong to it.
struct AugmentRectangle {
  int32_t left = 0, top = 0, right = 0, bottom = 0;
};

/// One sample's changes. The defaults change nothing.
struct AugmentRow {
  AugmentSource source = {};
  AugmentSource donor = {};  ///< whose object is pasted; of height 0: none
  AugmentMap map = {}, donor_map = {};
  float sharpness = 1.0F;   ///< factor on the distance to the 3x3 smoothed image
  float saturation = 1.0F;  ///< factor on the distance to the pixel's grey
  float contrast = 1.0F;    ///< factor on the distance to the image's mean grey
  float brightness = 1.0F;  ///< factor
  AugmentRectangle erased = {};
  bool erase_with_noise = false;  ///< else with the image's mean colour
  bool binary_mask = false;
  uint32_t salt_pepper = 0;  ///< part of the mask's pixels that become 0 or 255, times 2^32
  uint64_t seed = 0;         ///< of noise
};
static_assert(std::is_trivially_copyable_v<AugmentRow>);

}  // namespace codmoe::ops
