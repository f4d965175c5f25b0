#include "codmoe/nn/same_conv2d.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

namespace codmoe::nn {
namespace {

/// All-ones kernel over a row of ones: each output counts the inputs that its window holds.
std::vector<double> window_sizes(int64_t size, int64_t kernel, int64_t stride, int64_t dilation = 1) {
  const c10::NoGradGuard no_grad;
  SameConv2d conv(torch::nn::Conv2dOptions(1, 1, {1, kernel}).stride({1, stride}).dilation({1, dilation}).bias(false));
  conv->weight.fill_(1);
  const auto y = conv(at::ones({1, 1, 1, size})).flatten().to(at::kDouble).contiguous();
  return {y.data_ptr<double>(), y.data_ptr<double>() + y.numel()};
}

// Expected by hand from TensorFlow's rule: the odd zero goes last.
TEST(SameConv2d, PadsAfterRatherThanBefore) {
  EXPECT_EQ(window_sizes(6, 3, 2), (std::vector<double>{3, 3, 2}));  // one zero: at the end
  EXPECT_EQ(window_sizes(5, 3, 2), (std::vector<double>{2, 3, 2}));  // two: one each
  EXPECT_EQ(window_sizes(6, 5, 2), (std::vector<double>{4, 5, 3}));  // three: one before, two after
  EXPECT_EQ(window_sizes(5, 5, 2), (std::vector<double>{3, 5, 3}));
  EXPECT_EQ(window_sizes(4, 3, 1), (std::vector<double>{2, 3, 3, 2}));
  EXPECT_EQ(window_sizes(4, 2, 1), (std::vector<double>{2, 2, 2, 1}));
  EXPECT_EQ(window_sizes(5, 3, 1, 2), (std::vector<double>{2, 2, 3, 2, 2}));
  EXPECT_EQ(window_sizes(4, 1, 2), (std::vector<double>{1, 1}));  // never negative
  EXPECT_EQ(window_sizes(1, 3, 2), (std::vector<double>{1}));
}

TEST(SameConv2d, PadsRowsAndColumnsIndependently) {
  const c10::NoGradGuard no_grad;
  SameConv2d conv(torch::nn::Conv2dOptions(4, 4, 3).stride(2).groups(4));
  const auto x = at::randn({2, 4, 6, 5});
  const auto expected = at::conv2d(at::constant_pad_nd(x, {1, 1, 0, 1}), conv->weight, conv->bias,
                                   at::IntArrayRef{2, 2}, at::IntArrayRef{0, 0}, at::IntArrayRef{1, 1}, 4);
  EXPECT_TRUE(conv(x).allclose(expected));
}

}  // namespace
}  // namespace codmoe::nn
