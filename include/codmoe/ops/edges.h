// Magnitudes of fixed edge filters.
#pragma once

#include <ATen/core/Tensor.h>

namespace codmoe::ops {

/// Three maps [B, C, H, W] of the input's dtype, none below 0.
struct EdgeMaps {
  at::Tensor sobel;      ///< s = sqrt(sx^2 + sy^2 + 1e-6)
  at::Tensor laplacian;  ///< l = |lap|
  at::Tensor gradient;   ///< sqrt(s^2 + l^2 + 1e-6)
};

/// Filters every channel of x [B, C, H, W] (floating point) with the 3x3 Sobel pair and the 4-neighbour Laplacian,
/// zero padded and not normalised; results have x's shape and dtype. Differentiable. Source: the edge expert of the
/// guide. @throws c10::Error for another shape or dtype.
EdgeMaps edge_maps(const at::Tensor& x_bchw);

}  // namespace codmoe::ops
