#include "codmoe/core/flop_counter.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace codmoe::core {
namespace {

TEST(FlopCounter, ConvolutionsAreOutputsTimesTaps) {
  const auto x = at::rand({2, 6, 9, 9});
  const FlopCounter counter;
  at::conv2d(x, at::rand({8, 6, 3, 3}), {}, 2, 1);
  EXPECT_EQ(counter.total(), 2 * (2 * 8 * 5 * 5) * (6 * 3 * 3));
  at::conv2d(x, at::rand({6, 1, 5, 5}), at::rand({6}), 1, 2, 1, 6);  // depthwise
  EXPECT_EQ(counter.total(), 2 * (2 * 8 * 5 * 5) * (6 * 3 * 3) + 2 * (2 * 6 * 9 * 9) * (5 * 5));
}

TEST(FlopCounter, TransposedConvolutionsAreInputsTimesTaps) {
  const auto x = at::rand({1, 4, 5, 5});
  const FlopCounter counter;
  at::conv_transpose2d(x, at::rand({4, 3, 2, 2}), {}, 2);
  EXPECT_EQ(counter.total(), 2 * (4 * 5 * 5) * (3 * 2 * 2));
}

TEST(FlopCounter, ProductsCountOnceHoweverTheyAreDone) {
  const auto a = at::rand({7, 5}), b = at::rand({5, 3});
  constexpr int64_t once = 2 * 7 * 5 * 3;
  const FlopCounter counter;
  at::mm(a, b);
  EXPECT_EQ(counter.total(), once);
  at::matmul(a, b);
  EXPECT_EQ(counter.total(), 2 * once);
  at::linear(a, b.t(), at::rand({3}));
  EXPECT_EQ(counter.total(), 3 * once);
  at::addmm(at::rand({7, 3}), a, b);
  EXPECT_EQ(counter.total(), 4 * once);
  at::bmm(a.expand({2, 7, 5}), b.expand({2, 5, 3}));
  EXPECT_EQ(counter.total(), 6 * once);
}

TEST(FlopCounter, AttentionIsItsTwoProducts) {
  const auto q = at::rand({2, 3, 7, 8}), k = at::rand({2, 3, 5, 8}), v = at::rand({2, 3, 5, 4});
  const FlopCounter counter;
  at::scaled_dot_product_attention(q, k, v);
  EXPECT_EQ(counter.total(), 2 * (2 * 3 * 7 * 5) * 8 + 2 * (2 * 3 * 7 * 5) * 4);
}

TEST(FlopCounter, CountsWhileItLivesAndNothingElse) {
  const auto a = at::rand({4, 4});
  {
    const FlopCounter counter;
    at::mm(a, a);
  }
  at::mm(a, a);
  const FlopCounter counter;
  (a + a).relu_().sum();
  EXPECT_EQ(counter.total(), 0);
}

}  // namespace
}  // namespace codmoe::core
