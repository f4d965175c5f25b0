#include "codmoe/ops/depthwise_gelu.h"

#include "ops/on_cuda.h"

namespace codmoe::ops {
namespace {

class DepthwiseGeluGpu : public testing::TestWithParam<std::vector<int64_t>> {};

TEST_P(DepthwiseGeluGpu, AsOnTheCpu) {
  const auto& shape = GetParam();
  const auto channels = shape.back();
  const auto op = [](const std::vector<at::Tensor>& in) {
    return std::vector{depthwise_gelu(in[0], in[1], {in[2], in[3]})};
  };
  expect_as_on_cpu({op,
                    {test::randn(shape, 1), test::randn({channels}, 2), test::randn({channels, 1, 3, 3}, 3),
                     test::randn({channels}, 4)},
                    {true, false, false, false}});
}

INSTANTIATE_TEST_SUITE_P(Shapes, DepthwiseGeluGpu,
                         testing::Values(std::vector<int64_t>{1, 1, 1, 64}, std::vector<int64_t>{2, 7, 5, 128},
                                         std::vector<int64_t>{3, 22, 22, 64}, std::vector<int64_t>{2, 45, 23, 64},
                                         std::vector<int64_t>{1, 2, 4, 2048}, std::vector<int64_t>{1, 88, 88, 64},
                                         std::vector<int64_t>{1, 23, 6, 192}, std::vector<int64_t>{5, 49, 10, 24},
                                         std::vector<int64_t>{40, 9, 22, 320}));

/// The kernels copy 16 bytes at a time.
TEST(DepthwiseGeluMisalignedGpu, AsOnTheCpu) {
  const std::vector<int64_t> shape{2, 9, 7, 64};
  const auto count = c10::multiply_integers(shape);
  const auto op = [&](const std::vector<at::Tensor>& in) {
    const auto x_bhwc = in[0].narrow(0, 1, count).view(shape);
    const auto y = depthwise_gelu(x_bhwc, in[1].slice(0, 1, 128, 2), {in[2], in[3].narrow(0, 1, 64)});
    return std::vector{at::cat({at::zeros({1}, y.options()), y.flatten()})};  // so that y's gradient is misaligned too
  };
  expect_as_on_cpu(
      {op,
       {test::randn({count + 1}, 1), test::randn({128}, 2), test::randn({64, 1, 3, 3}, 3), test::randn({65}, 4)},
       {true, false, false, false}});
}

/// A width that the kernels don't take goes another way.
INSTANTIATE_TEST_SUITE_P(OtherWidth, DepthwiseGeluGpu, testing::Values(std::vector<int64_t>{2, 5, 6, 12}));

}  // namespace
}  // namespace codmoe::ops
