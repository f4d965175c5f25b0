#include "codmoe/ops/pixel_weights.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/tensors.h"

namespace codmoe::ops {
namespace {

/// The definition, pixel by pixel.
at::Tensor slow(const at::Tensor& mask, int64_t window, double weight) {
  auto result = at::empty_like(mask);
  const auto from = mask.accessor<double, 4>();
  auto to = result.accessor<double, 4>();
  const int64_t half = window / 2, height = mask.size(2), width = mask.size(3);
  for (int64_t b = 0; b < mask.size(0); ++b) {
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t x = 0; x < width; ++x) {
        double sum = 0;
        for (int64_t v = std::max<int64_t>(0, y - half); v <= std::min(height - 1, y + half); ++v)
          for (int64_t u = std::max<int64_t>(0, x - half); u <= std::min(width - 1, x + half); ++u)
            sum += from[b][0][v][u];
        to[b][0][y][x] = 1 + weight * std::abs(sum / static_cast<double>(window * window) - from[b][0][y][x]);
      }
    }
  }
  return result;
}

TEST(PixelWeights, FollowTheirDefinition) {
  for (const int64_t window : {1, 5, 31}) {
    const auto mask = test::randn({2, 1, 19, 40}, 1).sigmoid();
    EXPECT_LE(test::deviation(pixel_weights(mask, window, 5.0), slow(mask, window, 5.0)), 1e-12) << window;
  }
}

TEST(PixelWeights, RefuseEvenWindowsAndOtherShapes) {
  EXPECT_THROW(pixel_weights(test::randn({1, 1, 4, 4}, 1), 4, 5.0), c10::Error);
  EXPECT_THROW(pixel_weights(test::randn({1, 2, 4, 4}, 1), 3, 5.0), c10::Error);
}

}  // namespace
}  // namespace codmoe::ops
