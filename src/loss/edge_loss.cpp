#include "codmoe/loss/edge_loss.h"

#include <ATen/ATen.h>

namespace codmoe::loss {

namespace {

/// Under the root, so that its derivative in a flat region is 0, not infinite; too small to count as a contour.
constexpr double kFlat = 1e-12;

/// [1 2 1] along `dim` at all places but the first and the last.
at::Tensor smooth(const at::Tensor& x, int64_t dim) {
  const auto inner = x.size(dim) - 2;
  return x.narrow(dim, 0, inner) + 2 * x.narrow(dim, 1, inner) + x.narrow(dim, 2, inner);
}

/// [-1 0 1] along `dim`.
at::Tensor difference(const at::Tensor& x, int64_t dim) {
  const auto inner = x.size(dim) - 2;
  return x.narrow(dim, 2, inner) - x.narrow(dim, 0, inner);
}

/// [B, 1, H, W] -> [B, 1, H - 2, W - 2], in [0, 1).
at::Tensor contour(const at::Tensor& map_b1hw) {
  const auto along_x = smooth(difference(map_b1hw, 3), 2), along_y = smooth(difference(map_b1hw, 2), 3);
  return (along_x.square() + along_y.square() + kFlat).sqrt().tanh();
}

at::Tensor image_sum(const at::Tensor& map_b1hw) { return map_b1hw.sum({1, 2, 3}); }

}  // namespace

at::Tensor edge_loss(const at::Tensor& logits_b1hw, const at::Tensor& mask_b1hw) {
  TORCH_CHECK(logits_b1hw.dim() == 4 && logits_b1hw.size(1) == 1 && logits_b1hw.sizes() == mask_b1hw.sizes() &&
                  logits_b1hw.size(2) >= 3 && logits_b1hw.size(3) >= 3,
              "edge_loss: logits and mask must be [B, 1, H, W] alike, of at least 3x3, not ", logits_b1hw.sizes(),
              " and ", mask_b1hw.sizes());
  const auto wide = at::promote_types(logits_b1hw.scalar_type(), at::kFloat);
  const auto found = contour(logits_b1hw.to(wide).sigmoid());
  const auto right = contour(mask_b1hw.detach().to(wide));
  const auto both = image_sum(found * right);
  const auto each = image_sum(found.square()) + image_sum(right.square());
  return (1 - (2 * both + 1) / (each + 1)).mean();
}

}  // namespace codmoe::loss
