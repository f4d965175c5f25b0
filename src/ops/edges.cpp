#include "codmoe/ops/edges.h"

#include <ATen/ATen.h>

namespace codmoe::ops {

namespace {

// Added under both roots, so that the gradient at a flat region is finite.
constexpr double kEpsilon = 1e-6;

/// The shifts of a zero-padded map: the filters are sums of these, which costs less than three depthwise convolutions.
class Neighbours {
 public:
  explicit Neighbours(const at::Tensor& x_bchw)
      : padded_(at::constant_pad_nd(x_bchw, {1, 1, 1, 1})), height_(x_bchw.size(2)), width_(x_bchw.size(3)) {}

  at::Tensor operator()(int64_t dy, int64_t dx) const {
    return padded_.slice(2, 1 + dy, 1 + dy + height_).slice(3, 1 + dx, 1 + dx + width_);
  }
  /// [1 2 1] across the rows above and below / the columns left and right.
  at::Tensor row(int64_t dy) const { return (*this)(dy, -1) + 2 * (*this)(dy, 0) + (*this)(dy, 1); }
  at::Tensor column(int64_t dx) const { return (*this)(-1, dx) + 2 * (*this)(0, dx) + (*this)(1, dx); }

 private:
  at::Tensor padded_;
  int64_t height_, width_;
};

}  // namespace

EdgeMaps edge_maps(const at::Tensor& x_bchw) {
  TORCH_CHECK(x_bchw.dim() == 4 && x_bchw.is_floating_point(),
              "edge_maps: x must be a floating [B, C, H, W] tensor, not ", x_bchw.scalar_type(), " of ",
              x_bchw.sizes());
  const Neighbours at_offset(x_bchw);
  const auto sobel_x = at_offset.column(1) - at_offset.column(-1);
  const auto sobel_y = at_offset.row(1) - at_offset.row(-1);
  const auto laplacian = (at_offset(-1, 0) + at_offset(1, 0) + at_offset(0, -1) + at_offset(0, 1) - 4 * x_bchw).abs();
  const auto sobel = (sobel_x.square() + sobel_y.square() + kEpsilon).sqrt();
  return {.sobel = sobel, .laplacian = laplacian, .gradient = (sobel.square() + laplacian.square() + kEpsilon).sqrt()};
}

}  // namespace codmoe::ops
