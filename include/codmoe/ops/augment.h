// Samples that lie on a GPU, resampled and recoloured into a batch.
#pragma once

#include <ATen/core/Tensor.h>

#include "codmoe/ops/augment_row.h"

namespace codmoe::ops {

struct AugmentedBatch {
  at::Tensor images;  ///< uint8 [B, 3, S, S], RGB
  at::Tensor masks;   ///< uint8 [B, 1, S, S]
};

/// Bilinear sampling, mirrored beyond the border; a donor's object over it; sharpness, saturation, contrast and
/// brightness; an erased rectangle; a binary mask, with salt and pepper: as data::apply_augmentation() does it, rounded
/// to bytes at the same places.
/// @param pixels   uint8 [N] on a CUDA device: images [H, W, 3] and masks [H, W], anywhere in it
/// @param rows_bn  uint8 [B, sizeof(AugmentRow)] on the same device: AugmentRow by AugmentRow; that they stay within
///   `pixels` is not checked
/// @throws c10::Error for other types or shapes, another device than CUDA, or a build without it.
AugmentedBatch augment(const at::Tensor& pixels, const at::Tensor& rows_bn, int64_t size);

}  // namespace codmoe::ops
