#include "codmoe/ops/band_split.h"

#include <ATen/ops/avg_pool2d.h>
#include <c10/util/Exception.h>

namespace codmoe::ops {

namespace {

at::Tensor box(const at::Tensor& x_bchw, int64_t width) { return at::avg_pool2d(x_bchw, width, 1, width / 2); }

}  // namespace

Bands band_split(const at::Tensor& x_bchw) {
  TORCH_CHECK(x_bchw.dim() == 4 && x_bchw.is_floating_point(),
              "band_split: x must be a floating [B, C, H, W] tensor, not ", x_bchw.scalar_type(), " of ",
              x_bchw.sizes());
  const auto low = box(x_bchw, 3);
  return {.low = low, .mid = low - box(x_bchw, 5), .high = x_bchw - low};
}

}  // namespace codmoe::ops
