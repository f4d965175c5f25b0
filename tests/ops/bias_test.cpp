#include "codmoe/ops/bias.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "support/tensors.h"

namespace codmoe::ops {
namespace {

TEST(AddBias, AddsToEachChannel) {
  const auto y = test::randn({2, 3, 4, 5}, 1), bias = test::randn({3}, 2);
  const auto sum = add_bias(y, bias);
  for (int64_t c = 0; c < 3; ++c) EXPECT_TRUE(sum.select(1, c).equal(y.select(1, c) + bias[c])) << c;
  EXPECT_THROW(add_bias(y, test::randn({4}, 2)), c10::Error);
  EXPECT_THROW(add_bias(y[0], bias), c10::Error);
}

}  // namespace
}  // namespace codmoe::ops
