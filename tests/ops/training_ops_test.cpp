// On the CPU these ops are compositions of LibTorch's; here what they add to those.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "codmoe/ops/depthwise_gelu.h"
#include "codmoe/ops/layer_norm.h"
#include "codmoe/ops/resize.h"
#include "support/tensors.h"

namespace codmoe::ops {
namespace {

TEST(AddLayerNorm, HasMeanZeroAndDeviationOne) {
  const auto x = test::randn({4, 5, 64}, 1), branch = 3 * test::randn({4, 5, 64}, 2);
  const LayerNormState state{at::full({64}, 2.0, at::kDouble), at::full({64}, 0.5, at::kDouble), 0.0};
  const auto [sum, normed] = add_layer_norm(x, branch, state, at::kDouble);
  EXPECT_TRUE(sum.equal(x + branch));
  EXPECT_LE((normed.mean(-1) - 0.5).abs().max().item<double>(), 1e-12);
  EXPECT_LE((normed.var(-1, /*unbiased=*/false) - 4.0).abs().max().item<double>(), 1e-12);
  EXPECT_TRUE(add_layer_norm(sum, {}, state, at::kDouble).normed.equal(normed));
}

TEST(AddLayerNorm, ResultIsOfTheTypeAskedFor) {
  const auto x = test::randn({3, 8}, 1).to(at::kFloat), branch = x.to(at::kBFloat16);
  const auto result = add_layer_norm(x, branch, {at::ones({8}), at::zeros({8}), 1e-5}, at::kBFloat16);
  EXPECT_EQ(result.sum.scalar_type(), at::kFloat);
  EXPECT_EQ(result.normed.scalar_type(), at::kBFloat16);
  EXPECT_THROW(add_layer_norm(x, branch.narrow(0, 0, 2), {at::ones({8}), at::zeros({8}), 1e-5}, at::kFloat),
               c10::Error);
  EXPECT_THROW(add_layer_norm(x, {}, {at::ones({7}), at::zeros({7}), 1e-5}, at::kFloat), c10::Error);
}

/// By its definition, in plain loops.
double gelu_of(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }

TEST(DepthwiseGelu, IsItsDefinition) {
  const auto x = test::randn({2, 4, 3, 5}, 1), x_bias = test::randn({5}, 2), weight = test::randn({5, 1, 3, 3}, 3),
             bias = test::randn({5}, 4);
  const auto y = depthwise_gelu(x, x_bias, {weight, bias});
  const auto xs = x.accessor<double, 4>();
  const auto ws = weight.accessor<double, 4>();
  const auto ys = y.accessor<double, 4>();
  for (int64_t i = 0; i < x.numel(); ++i) {
    const int64_t c = i % 5, column = i / 5 % 3, row = i / 15 % 4, b = i / 60;
    double sum = bias[c].item<double>();
    for (int64_t dy = -1; dy <= 1; ++dy) {
      for (int64_t dx = -1; dx <= 1; ++dx) {
        if (row + dy < 0 || row + dy > 3 || column + dx < 0 || column + dx > 2) continue;
        sum += ws[c][0][dy + 1][dx + 1] * (xs[b][row + dy][column + dx][c] + x_bias[c].item<double>());
      }
    }
    ASSERT_NEAR(ys[b][row][column][c], gelu_of(sum), 1e-12);
  }
  EXPECT_THROW(depthwise_gelu(x, x_bias, {weight.narrow(0, 0, 4), bias}), c10::Error);
}

TEST(Resize, KeepsWhatHasTheSizeAndRefusesOtherRanks) {
  const auto x = test::randn({1, 2, 3, 4}, 1);
  EXPECT_TRUE(resize_bilinear(x, 3, 4).is_same(x));
  EXPECT_NEAR(resize_bilinear(x, 6, 8).mean().item<double>(), x.mean().item<double>(), 0.2);
  EXPECT_THROW(resize_bilinear(x[0], 6, 8), c10::Error);
  EXPECT_THROW(resize_bilinear(x, 0, 8), c10::Error);
  const auto onto = test::randn({x.size(0), x.size(1), 6, 8}, 2);
  EXPECT_TRUE(add_resized(onto, x).equal(onto + resize_bilinear(x, 6, 8)));
  EXPECT_THROW(add_resized(onto, x.to(at::kFloat)), c10::Error);
}

}  // namespace
}  // namespace codmoe::ops
