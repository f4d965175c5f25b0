#include "codmoe/ops/batch_norm_act.h"

#include "ops/on_cuda.h"

namespace codmoe::ops {
namespace {

struct NormCase {
  std::vector<int64_t> shape;
  std::vector<int64_t> chosen;  ///< 0 or 1 a sample; empty: no mask
};

class BatchNormActGpu : public testing::TestWithParam<std::tuple<NormCase, Activation>> {};

/// Results, running statistics and the count of batches, beside the composition of LibTorch's operations.
TEST_P(BatchNormActGpu, AsOnTheCpu) {
  const auto& [which, activation] = GetParam();
  const std::vector<int64_t> channels{which.shape[1]};
  const auto op = [&, activation = activation](const std::vector<at::Tensor>& in) {
    const auto options = in[1].options();
    const BatchNormState state{in[1],
                               in[2],
                               at::full(channels, 0.5, options.requires_grad(false)),
                               at::full(channels, 2.0, options.requires_grad(false)),
                               at::zeros({}, options.dtype(at::kLong).requires_grad(false)),
                               1e-3,
                               0.2};
    std::optional<at::Tensor> mask;
    if (!which.chosen.empty()) mask = at::tensor(which.chosen).to(in[0].device(), at::kBool);
    const auto y = batch_norm_act(in[0].contiguous(at::MemoryFormat::ChannelsLast), mask, state, activation);
    EXPECT_EQ(y.scalar_type(), in[0].scalar_type());
    return std::vector{y, state.running_mean, state.running_var, state.batches.to(at::kDouble)};
  };
  expect_as_on_cpu({op,
                    {3 * test::randn(which.shape, 1) + 5, 1 + test::randn(channels, 2), 2 * test::randn(channels, 3)},
                    {true, false, false}});
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, BatchNormActGpu,
    testing::Combine(testing::Values(NormCase{{2, 16, 5, 7}, {}}, NormCase{{3, 28, 9, 9}, {}},
                                     NormCase{{3, 28, 9, 9}, {0, 1, 1}}, NormCase{{2, 1152, 3, 3}, {1, 0}},
                                     NormCase{{2, 260, 4, 4}, {}}, NormCase{{6, 112, 22, 22}, {1, 0, 0, 1, 1, 0}},
                                     NormCase{{3, 8, 4, 4}, {0, 0, 0}}, NormCase{{1, 4, 1, 1}, {}}),
                     testing::Values(Activation::none, Activation::relu, Activation::relu6, Activation::gelu)));

/// Among so many values one lies at a kink of ReLU, where a rounding changes the gradient.
INSTANTIATE_TEST_SUITE_P(ManyValues, BatchNormActGpu,
                         testing::Combine(testing::Values(NormCase{{8, 96, 60, 61}, {}}),
                                          testing::Values(Activation::none, Activation::gelu)));

TEST(BatchNormActGpu, ValuesFarFromZeroKeepTheirVariance) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  const auto x =
      (1000 + test::randn({16, 8, 32, 32}, 4)).to(c10::kCUDA, at::kFloat).contiguous(at::MemoryFormat::ChannelsLast);
  const auto options = at::device(c10::kCUDA);
  const BatchNormState state{
      at::ones({8}, options), at::zeros({8}, options), at::zeros({8}, options), at::ones({8}, options), {}, 1e-5, 1.0};
  batch_norm_act(x, std::nullopt, state, Activation::none);
  EXPECT_TRUE(test::is_near(state.running_var.cpu().to(at::kDouble),
                            x.cpu().to(at::kDouble).var(at::IntArrayRef{0, 2, 3}, true), 1e-3));
}

}  // namespace
}  // namespace codmoe::ops
