// A drawn augmentation in the units of pixels.
#pragma once

#include "codmoe/data/augment.h"
#include "codmoe/ops/augment_row.h"

namespace codmoe::data {

/// Of a picture of size x size; may be empty.
ops::AugmentRectangle erased_pixels(const Erasing& erase, int64_t size);

/// A part in [0, 1] as the threshold of 32 random bits.
uint32_t salt_pepper_share(double part);

/// What the kernels read to make the sample that apply_augmentation() makes on the CPU.
/// @param donor  where the donor lies; only used where an object is pasted
ops::AugmentRow augment_row(const Augmentation& augmentation, int64_t size, const ops::AugmentSource& source,
                            const ops::AugmentSource& donor = {});

}  // namespace codmoe::data
