// Samples that lie on a GPU, resampled and recoloured into a batch.
#pragma once

#include <ATen/core/Tensor.h>

namespace codmoe::ops {

/// Columns of `changes_bp`.
enum AugmentColumn : int64_t {
  kAugmentMap = 0,        ///< six: from target pixel to source pixel, data::AffineMap
  kAugmentSharpness = 6,  ///< factor on the distance to the 3x3 smoothed image
  kAugmentSaturation,     ///< factor on the distance to the pixel's grey
  kAugmentContrast,       ///< factor on the distance to the image's mean grey
  kAugmentBrightness,     ///< factor
  kAugmentColumns
};

struct AugmentedBatch {
  at::Tensor images;  ///< uint8 [B, 3, S, S], RGB
  at::Tensor masks;   ///< uint8 [B, 1, S, S]
};

/// Bilinear sampling, mirrored beyond the border, then sharpness, saturation, contrast and brightness, as
/// data::apply_augmentation() does it for maps that shrink less than twice; rounded to bytes at the same places.
/// @param pixels      uint8 [N] on a CUDA device: images [H, W, 3] and masks [H, W], anywhere in it
/// @param places_b4   int64 [B, 4]: where image and mask begin, H and W; within `pixels`, which is not checked
/// @param changes_bp  float32 [B, kAugmentColumns]
/// @throws c10::Error for other types or shapes, another device than CUDA, or a build without it.
AugmentedBatch augment(const at::Tensor& pixels, const at::Tensor& places_b4, const at::Tensor& changes_bp,
                       int64_t size);

}  // namespace codmoe::ops
