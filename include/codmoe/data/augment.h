// Random changes of a training sample: geometry for photograph and mask alike, colour for the photograph.
//
// Drawing and applying are apart: what is drawn depends on a seed alone, so any device can apply the same numbers.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

#include "codmoe/core/options.h"

namespace codmoe::data {

/// Every change is drawn for every sample; zero switches one off. The ranges follow the recipe of SINet (Fan et al.,
/// CVPR 2020), with milder colours.
struct AugmentOptions {
  bool enabled = true;
  double flip = 0.5;        ///< probability of a horizontal mirror image
  double rotate = 15.0;     ///< largest rotation either way, degrees
  double crop = 0.12;       ///< largest part of the width and of the height that is cut from the margins
  double scale = 0.15;      ///< zoom between 1 / (1 + scale) and 1 + scale
  double brightness = 0.3;  ///< factor in 1 +- this
  double contrast = 0.3;    ///< factor on the distance to the mean grey, in 1 +- this
  double saturation = 0.4;  ///< factor on the distance to the pixel's grey, in 1 +- this
  double sharpness = 0.5;   ///< factor on the distance to the smoothed image, in 1 +- this

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("enabled", enabled);
    visit("flip", flip, core::between(0, 1));
    visit("rotate", rotate, core::between(0, 180));
    visit("crop", crop, core::between(0, 0.9));
    visit("scale", scale, core::between(0, 4));
    visit("brightness", brightness, core::between(0, 1));
    visit("contrast", contrast, core::between(0, 1));
    visit("saturation", saturation, core::between(0, 1));
    visit("sharpness", sharpness, core::between(0, 4));
  }
};

/// One sample's changes. The defaults change nothing.
struct Augmentation {
  bool flip = false;
  double angle = 0.0;                ///< degrees, counter-clockwise
  double zoom = 1.0;                 ///< above 1: the object grows
  double left = 0.0, top = 0.0;      ///< cut from these margins, as a part of width and height
  double width = 1.0, height = 1.0;  ///< what is kept, as a part of width and height
  double brightness = 1.0, contrast = 1.0, saturation = 1.0, sharpness = 1.0;

  bool moves() const { return flip || angle != 0.0 || zoom != 1.0 || width != 1.0 || height != 1.0; }
  bool colours() const { return brightness != 1.0 || contrast != 1.0 || saturation != 1.0 || sharpness != 1.0; }
};

/// A pure function of options and seed.
Augmentation draw_augmentation(const AugmentOptions& options, uint64_t seed);

/// From the centre of a target pixel to a place in the source, both with pixel centres at whole numbers: row 0 gives
/// x = map[0] * x' + map[1] * y' + map[2], row 1 y. The mirror image is in it.
using AffineMap = std::array<double, 6>;
/// Of a source of these sizes and a target of size x size.
AffineMap target_to_source(const Augmentation& augmentation, int64_t height, int64_t width, int64_t size);

/// Photograph and mask of one size.
struct Sample {
  at::Tensor image;  ///< uint8 [H, W, 3], RGB
  at::Tensor mask;   ///< uint8 [H, W], 0 ... 255
};

/// Resamples both to size x size once, with all the geometry in one affine map (beyond the border the picture is
/// mirrored, the mask too), then changes the colours. The mask becomes soft at its edges. Without geometry this is
/// `resize` with Interpolation::area. The result is of that size, contiguous, on the CPU.
/// @throws c10::Error where photograph and mask have other shapes or types than Sample says, or two sizes.
Sample apply_augmentation(const Sample& sample, int64_t size, const Augmentation& augmentation);

}  // namespace codmoe::data
