#include "codmoe/ops/layer_norm.h"

#include "ops/on_cuda.h"

namespace codmoe::ops {
namespace {

class LayerNormGpu : public testing::TestWithParam<std::vector<int64_t>> {};

TEST_P(LayerNormGpu, OfASum) {
  const auto& shape = GetParam();
  const std::vector<int64_t> channels{shape.back()};
  const auto op = [](const std::vector<at::Tensor>& in) {
    const auto [sum, normed] = add_layer_norm(in[0], in[1], {in[2], in[3], 1e-6}, in[0].scalar_type());
    return std::vector{sum, normed};
  };
  expect_as_on_cpu(
      {op,
       {test::randn(shape, 1) + 3, test::randn(shape, 2), test::randn(channels, 3), test::randn(channels, 4)},
       {true, true, false, false}});
}

/// The residual in float32, the branch and the result in bfloat16: what autocast has.
TEST_P(LayerNormGpu, OfTwoTypes) {
  const auto& shape = GetParam();
  const std::vector<int64_t> channels{shape.back()};
  const auto op = [](const std::vector<at::Tensor>& in) {
    const auto type = in[1].scalar_type();
    const auto [sum, normed] = add_layer_norm(in[0], in[1], {in[2], in[3], 1e-6}, type);
    return std::vector{sum, normed};
  };
  expect_as_on_cpu(
      {op,
       {test::randn(shape, 1) + 3, test::randn(shape, 2), test::randn(channels, 3), test::randn(channels, 4)},
       {false, true, false, false}});
}

TEST_P(LayerNormGpu, WithoutABranch) {
  const auto& shape = GetParam();
  const std::vector<int64_t> channels{shape.back()};
  const auto op = [](const std::vector<at::Tensor>& in) {
    const auto type = in[0].scalar_type() == at::kBFloat16 ? at::kFloat : in[0].scalar_type();
    return std::vector{add_layer_norm(in[0], {}, {in[1], in[2], 1e-5}, type).normed};
  };
  expect_as_on_cpu(
      {op, {test::randn(shape, 1) - 2, test::randn(channels, 3), test::randn(channels, 4)}, {true, false, false}});
}

INSTANTIATE_TEST_SUITE_P(Shapes, LayerNormGpu,
                         testing::Values(std::vector<int64_t>{1, 64}, std::vector<int64_t>{2, 5, 3, 64},
                                         std::vector<int64_t>{5000, 128}, std::vector<int64_t>{7, 11, 320},
                                         std::vector<int64_t>{9, 512}, std::vector<int64_t>{70, 32},
                                         std::vector<int64_t>{3, 1024}, std::vector<int64_t>{4, 770}));

TEST(LayerNormGpu, UnusedResultsAreNoGradients) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  const auto make = [](uint64_t seed) {
    return test::randn({6, 64}, seed).to(c10::kCUDA, at::kFloat).requires_grad_();
  };
  const auto weight = at::ones({64}, c10::kCUDA), bias = at::zeros({64}, c10::kCUDA);
  const auto x = make(1), branch = make(2);
  add_layer_norm(x, branch, {weight, bias, 1e-5}, at::kFloat).sum.sum().backward();
  EXPECT_TRUE(x.grad().equal(at::ones_like(x)));
  EXPECT_TRUE(branch.grad().equal(at::ones_like(x)));
}

}  // namespace
}  // namespace codmoe::ops
