#include "codmoe/ops/pixel_weights.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "support/cuda.h"
#include "support/tensors.h"

namespace codmoe::ops {
namespace {

TEST(PixelWeightsGpu, AsOnTheCpu) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  for (const int64_t window : {1, 3, 31, 65, 67}) {
    for (const auto& shape : {std::vector<int64_t>{3, 1, 352, 352}, {2, 1, 1, 1}, {2, 1, 33, 70}, {1, 1, 100, 7}}) {
      const auto mask = test::randn(shape, 1).sigmoid().to(at::kFloat);
      const auto actual = pixel_weights(mask.to(c10::kCUDA), window, 5.0);
      EXPECT_LE(test::deviation(actual, pixel_weights(mask.to(at::kDouble), window, 5.0)), 1e-5)
          << window << " of " << mask.sizes();
      EXPECT_TRUE(pixel_weights(mask.to(c10::kCUDA), window, 5.0).equal(actual));
    }
  }
}

}  // namespace
}  // namespace codmoe::ops
