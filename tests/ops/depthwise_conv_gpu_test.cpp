#include "codmoe/ops/depthwise_conv.h"

#include "ops/on_cuda.h"

namespace codmoe::ops {
namespace {

struct ConvCase {
  std::vector<int64_t> shape;
  int64_t kernel, stride;
  Border border;
};

class DepthwiseConvGpu : public testing::TestWithParam<ConvCase> {};

TEST_P(DepthwiseConvGpu, AsOnTheCpu) {
  const auto& which = GetParam();
  const auto op = [&](const std::vector<at::Tensor>& in) {
    return std::vector{depthwise_conv(in[0].contiguous(at::MemoryFormat::ChannelsLast), in[1].to(in[0].scalar_type()),
                                      which.stride, which.border)};
  };
  // The filter is rounded as the map is: on the CPU LibTorch takes one type for both.
  const auto filter = test::randn({which.shape[1], 1, which.kernel, which.kernel}, 2);
  expect_as_on_cpu({op, {test::randn(which.shape, 1), filter}, {true, true}});
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, DepthwiseConvGpu,
    testing::Values(ConvCase{{2, 16, 7, 9}, 3, 1, {1, 1, 1, 1}}, ConvCase{{2, 16, 8, 10}, 3, 2, {0, 1, 0, 1}},
                    ConvCase{{2, 24, 9, 11}, 3, 2, {1, 1, 1, 1}}, ConvCase{{3, 96, 13, 6}, 5, 1, {2, 2, 2, 2}},
                    ConvCase{{3, 144, 12, 14}, 5, 2, {1, 2, 1, 2}}, ConvCase{{3, 96, 13, 15}, 5, 2, {2, 2, 2, 2}},
                    ConvCase{{1, 1152, 5, 5}, 5, 1, {2, 2, 2, 2}}, ConvCase{{2, 264, 6, 5}, 3, 1, {0, 2, 2, 0}},
                    ConvCase{{1, 8, 1, 1}, 3, 1, {1, 1, 1, 1}}, ConvCase{{1, 8, 2, 2}, 5, 2, {1, 2, 1, 2}},
                    ConvCase{{2, 40, 40, 37}, 3, 2, {0, 1, 1, 1}}, ConvCase{{8, 64, 88, 88}, 5, 1, {2, 2, 2, 2}},
                    ConvCase{{40, 32, 36, 34}, 3, 1, {1, 1, 1, 1}}, ConvCase{{33, 240, 19, 18}, 5, 2, {1, 2, 1, 2}},
                    ConvCase{{37, 672, 22, 22}, 5, 1, {2, 2, 2, 2}}));
/// A width that the kernels don't take goes another way.
INSTANTIATE_TEST_SUITE_P(OtherWidth, DepthwiseConvGpu, testing::Values(ConvCase{{2, 12, 9, 11}, 3, 2, {0, 1, 1, 1}}));

/// The kernels copy 16 bytes at a time.
TEST(DepthwiseConvMisalignedGpu, AsOnTheCpu) {
  const auto op = [&](const std::vector<at::Tensor>& in) {
    const auto x_bchw = in[0].narrow(0, 1, 2 * 6 * 5 * 16).view({2, 6, 5, 16}).permute({0, 3, 1, 2});
    const auto y_bhwc = depthwise_conv(x_bchw, in[1], 1, {1, 1, 1, 1}).permute({0, 2, 3, 1});
    return std::vector{
        at::cat({at::zeros({1}, y_bhwc.options()), y_bhwc.flatten()})};  // its gradient is misaligned too
  };
  expect_as_on_cpu({op, {test::randn({2 * 6 * 5 * 16 + 1}, 1), test::randn({16, 1, 3, 3}, 2)}, {true, true}});
}

TEST(DepthwiseConvGpu, GradientsOfWhatIsAskedFor) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  const auto image = test::randn({2, 8, 6, 6}, 1).to(c10::kCUDA, at::kFloat);
  const auto filter = test::randn({8, 1, 3, 3}, 2).to(c10::kCUDA, at::kFloat);
  const auto gradients = [&](bool of_x, bool of_weight) {
    const auto x = image.clone(at::MemoryFormat::ChannelsLast).requires_grad_(of_x);
    const auto weight = filter.clone().requires_grad_(of_weight);
    depthwise_conv(x, weight, 1, {1, 1, 1, 1}).sum().backward();
    return std::pair(x.grad(), weight.grad());
  };
  const auto both = gradients(true, true);
  EXPECT_TRUE(gradients(true, false).first.equal(both.first));
  EXPECT_TRUE(gradients(false, true).second.equal(both.second));
}

}  // namespace
}  // namespace codmoe::ops
