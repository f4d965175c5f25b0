// How well the object's outline is met.
#pragma once

#include <ATen/core/Tensor.h>

namespace codmoe::loss {

/// logits, mask: [B, 1, H, W] of at least 3x3, mask in [0, 1]; a scalar, the mean over images of the Dice loss
/// 1 - (2 sum(c * d) + 1) / (sum(c^2) + sum(d^2) + 1) between the contours c of sigmoid(logits) and d of the mask. A
/// contour is tanh of the length of the Sobel gradient, at all pixels but those of the image's border. Computed and
/// returned in float32 at least; gradients reach the logits alone. Contours: NLDF (Luo et al., CVPR 2017), whose
/// boundary loss this is; squares and the added ones: the edge loss of BGNet (Sun et al., IJCAI 2022), which is 0 for
/// the same contours. @throws c10::Error for other shapes.
at::Tensor edge_loss(const at::Tensor& logits_b1hw, const at::Tensor& mask_b1hw);

}  // namespace codmoe::loss
