#include "codmoe/ops/depthwise_conv.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "support/tensors.h"

namespace codmoe::ops {
namespace {

/// The definition, position by position.
at::Tensor slow(const at::Tensor& x, const at::Tensor& weight, int64_t stride, const Border& border) {
  const auto kernel = weight.size(2);
  const auto rows = (x.size(2) + border.top + border.bottom - kernel) / stride + 1;
  const auto columns = (x.size(3) + border.left + border.right - kernel) / stride + 1;
  auto y = at::zeros({x.size(0), x.size(1), rows, columns}, x.options());
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      for (int64_t a = 0; a < kernel; ++a) {
        for (int64_t b = 0; b < kernel; ++b) {
          const auto row = i * stride + a - border.top, column = j * stride + b - border.left;
          if (row < 0 || row >= x.size(2) || column < 0 || column >= x.size(3)) continue;
          y.select(2, i).select(2, j) +=
              x.select(2, row).select(2, column) * weight.select(2, a).select(2, b).squeeze(1);
        }
      }
    }
  }
  return y;
}

TEST(DepthwiseConv, IsItsDefinition) {
  const auto x = test::randn({2, 3, 7, 6}, 1);
  for (const int64_t kernel : {3, 5}) {
    const auto weight = test::randn({3, 1, kernel, kernel}, 2);
    for (const int64_t stride : {1, 2}) {
      for (const Border& border : {Border{1, 1, 1, 1}, Border{0, 1, 0, 1}, Border{2, 1, 0, 3}}) {
        EXPECT_TRUE(test::is_near(depthwise_conv(x, weight, stride, border), slow(x, weight, stride, border), 1e-12));
      }
    }
  }
}

TEST(DepthwiseConv, RefusesOtherShapes) {
  const auto x = at::zeros({2, 3, 7, 6});
  EXPECT_THROW(depthwise_conv(x, at::zeros({4, 1, 3, 3}), 1, {1, 1, 1, 1}), c10::Error);
  EXPECT_THROW(depthwise_conv(x, at::zeros({3, 1, 3, 5}), 1, {1, 1, 1, 1}), c10::Error);
}

}  // namespace
}  // namespace codmoe::ops
