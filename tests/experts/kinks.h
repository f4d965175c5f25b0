// Images on which every expert is smooth, for central differences.
#pragma once

#include <ATen/ATen.h>

#include <stdexcept>

#include "codmoe/ops/edges.h"
#include "support/tensors.h"

namespace codmoe::experts {

/// No Laplacian near 0, where |.| has its kink, and no Sobel response where its root is steep. A response that is 0
/// whatever the image shows, as of a single position, doesn't count.
inline bool is_off_kinks(const at::Tensor& x_bchw) {
  const auto maps = ops::edge_maps(x_bchw);
  return maps.laplacian.min().item<double>() > 1e-2 &&
         (maps.sobel.min().item<double>() > 1e-2 || (x_bchw.size(2) == 1 && x_bchw.size(3) == 1));
}

/// The first images for which `accept` holds too, of those drawn from `seed`, `seed` + 1, …; float64.
template <class Accept>
at::Tensor images_off_kinks(at::IntArrayRef shape, uint64_t seed, const Accept& accept) {
  for (const uint64_t end = seed + 1000; seed < end; ++seed) {
    const auto x = test::randn(shape, seed) + test::randn({shape[0], shape[1], 1, 1}, seed + 7777);
    if (is_off_kinks(x) && accept(x)) return x;
  }
  throw std::runtime_error("no such images");
}
inline at::Tensor images_off_kinks(at::IntArrayRef shape, uint64_t seed) {
  return images_off_kinks(shape, seed, [](const at::Tensor&) { return true; });
}

}  // namespace codmoe::experts
