// Random changes of a training sample: geometry for photograph and mask alike, colour for the photograph.
//
// Drawing and applying are apart: what is drawn depends on a seed alone, so any device can apply the same numbers.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "codmoe/core/options.h"

namespace codmoe::data {

enum class MaskValues {
  soft,   ///< as resampled, 0 ... 255
  binary  ///< 255 where at least half of the pixel is covered, else 0
};
constexpr auto enum_names(MaskValues) {
  return core::names<MaskValues>({{"soft", MaskValues::soft}, {"binary", MaskValues::binary}});
}

enum class EraseFill {
  noise,  ///< uniform, each pixel and channel alone
  mean    ///< the photograph's mean colour
};
constexpr auto enum_names(EraseFill) {
  return core::names<EraseFill>({{"noise", EraseFill::noise}, {"mean", EraseFill::mean}});
}

/// Every change is drawn for every sample; zero switches one off. The ranges follow the recipe of SINet (Fan et al.,
/// CVPR 2020), with milder colours and a clean mask: SINet-V2 draws `salt_pepper` 0.0015.
///
/// Erasing (Zhong et al., "Random erasing data augmentation", AAAI 2020) leaves the mask alone, as occlusion does in
/// classification: the detector must conclude from what is left. Pasting (Ghiasi et al., "Simple copy-paste", CVPR
/// 2021) lays the object of another sample over the photograph, turned and mirrored as samples are, at half to its own
/// size, moved by up to a quarter of the picture.
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
  double paste = 0.0;       ///< probability that another sample's object is pasted
  double erase = 0.0;       ///< probability that a rectangle of the photograph is erased
  double erase_min = 0.02;  ///< smallest and largest part of the picture that it takes
  double erase_max = 0.2;
  double erase_aspect = 3.3;  ///< height over width is between 1 / this and this
  EraseFill erase_fill = EraseFill::noise;
  MaskValues mask = MaskValues::soft;  ///< also where nothing is drawn
  double salt_pepper = 0.0;            ///< part of the mask's pixels that become 0 or 255

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
    visit("paste", paste, core::between(0, 1));
    visit("erase", erase, core::between(0, 1));
    visit("erase_min", erase_min, core::between(0, 1));
    visit("erase_max", erase_max, core::between(0, 1));
    visit("erase_aspect", erase_aspect, core::between(1, 100));
    visit("erase_fill", erase_fill);
    visit("mask", mask);
    visit("salt_pepper", salt_pepper, core::between(0, 1));
  }
  void check() const;
};

/// A rectangle that is erased, as parts of width and height.
struct Erasing {
  double left, top, width, height;
  EraseFill fill;
};

/// How another sample's object is laid over a photograph.
struct Pasting {
  double donor;  ///< in [0, 1): which of the other samples, see donor_of()
  bool flip;
  double angle;        ///< degrees, counter-clockwise
  double zoom;         ///< below 1: smaller
  double right, down;  ///< how far it is moved, as a part of width and height
};

/// One sample's changes. The defaults change nothing.
struct Augmentation {
  bool flip = false;
  double angle = 0.0;                ///< degrees, counter-clockwise
  double zoom = 1.0;                 ///< above 1: the object grows
  double left = 0.0, top = 0.0;      ///< cut from these margins, as a part of width and height
  double width = 1.0, height = 1.0;  ///< what is kept, as a part of width and height
  double brightness = 1.0, contrast = 1.0, saturation = 1.0, sharpness = 1.0;
  std::optional<Pasting> paste = {};
  std::optional<Erasing> erase = {};
  bool binary_mask = false;
  double salt_pepper = 0.0;
  uint64_t noise_seed = 0;  ///< of salt, pepper and what fills the erased

  bool moves() const {
    return flip || angle != 0.0 || zoom != 1.0 || left != 0.0 || top != 0.0 || width != 1.0 || height != 1.0;
  }
  bool colours() const { return brightness != 1.0 || contrast != 1.0 || saturation != 1.0 || sharpness != 1.0; }
};

/// A pure function of options and seed.
Augmentation draw_augmentation(const AugmentOptions& options, uint64_t seed);

/// The sample whose object is pasted into sample `index` of `samples`: any other with the same probability (of a set of
/// one, itself). Nothing where none is pasted.
std::optional<int64_t> donor_of(const Augmentation& augmentation, int64_t index, int64_t samples);

/// Photograph and mask of one size.
struct Sample {
  at::Tensor image;  ///< uint8 [H, W, 3], RGB
  at::Tensor mask;   ///< uint8 [H, W], 0 ... 255
};

/// Resamples both to size x size once, with all the geometry in one affine map (beyond the border the picture is
/// mirrored, the mask too), pastes the donor's object by its soft mask (the masks' maximum is kept), changes the
/// colours, erases, and finishes the mask, which is soft at its edges unless it is to be binary. Without geometry the
/// resampling is `resize` with Interpolation::area. The result is of that size, contiguous, on the CPU.
/// @param donor  of any size; where `augmentation.paste`, it must be there
/// @throws c10::Error where photograph and mask have other shapes or types than Sample says, or two sizes.
Sample apply_augmentation(const Sample& sample, int64_t size, const Augmentation& augmentation,
                          const Sample* donor = nullptr);

}  // namespace codmoe::data
