#include "codmoe/nn/norm.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "codmoe/nn/conv_norm_act.h"
#include "codmoe/nn/weights.h"
#include "support/tensors.h"

namespace codmoe::nn {
namespace {

Norm make_norm(NormKind kind, int64_t channels, bool training = true) {
  Norm norm(kind, channels);
  norm->to(at::kDouble);
  norm->train(training);
  const at::NoGradGuard no_grad;
  norm->named_parameters()["weight"].copy_(1 + 0.3 * test::randn({channels}, 1));
  norm->named_parameters()["bias"].copy_(test::randn({channels}, 2));
  if (kind == NormKind::batch) {
    norm->named_buffers()["running_mean"].copy_(test::randn({channels}, 3));
    norm->named_buffers()["running_var"].copy_(test::randn({channels}, 4).abs() + 0.5);
  }
  return norm;
}

/// The values of `x` shifted and scaled by the mean and biased variance over `dims`, then the norm's weight and bias.
at::Tensor normalised(const at::Tensor& x, at::IntArrayRef dims, Norm& norm) {
  const auto mean = x.mean(dims, /*keepdim=*/true);
  const auto var = (x - mean).square().mean(dims, /*keepdim=*/true);
  return (x - mean) / (var + 1e-5).sqrt() * norm->named_parameters()["weight"].view({1, -1, 1, 1}) +
         norm->named_parameters()["bias"].view({1, -1, 1, 1});
}

TEST(Norm, LargestDivisorUpTo8) {
  const std::pair<int64_t, int64_t> expected[] = {{1, 1},  {2, 2},  {7, 7},  {8, 8},   {9, 3},
                                                  {10, 5}, {11, 1}, {12, 6}, {13, 1},  {14, 7},
                                                  {16, 8}, {18, 6}, {72, 8}, {288, 8}, {320, 8}};
  for (const auto& [width, divisor] : expected) EXPECT_EQ(largest_divisor_up_to_8(width), divisor) << width;
}

TEST(Norm, HasPyTorchsNames) {
  const auto names = [](NormKind kind) {
    std::vector<std::string> list;
    for (const auto& [name, tensor] : state_dict(*Norm(kind, 4))) list.push_back(name);
    return list;
  };
  const std::vector<std::string> affine = {"bias", "weight"};
  EXPECT_EQ(names(NormKind::batch),
            (std::vector<std::string>{"bias", "num_batches_tracked", "running_mean", "running_var", "weight"}));
  EXPECT_EQ(names(NormKind::group), affine);
  EXPECT_EQ(names(NormKind::layer), affine);
}

TEST(Norm, BatchInTraining) {
  auto norm = make_norm(NormKind::batch, 6);
  const auto x = 2 + 3 * test::randn({4, 6, 3, 5}, 5);
  const auto before = test::buffers(*norm);
  EXPECT_TRUE(test::is_near(norm->forward(x), normalised(x, {0, 2, 3}, norm), 1e-12));
  const auto after = test::buffers(*norm);
  const auto var = x.var(at::IntArrayRef{0, 2, 3}, /*unbiased=*/true);
  EXPECT_TRUE(
      test::is_near(after.at("running_mean"), 0.9 * before.at("running_mean") + 0.1 * x.mean({0, 2, 3}), 1e-12));
  EXPECT_TRUE(test::is_near(after.at("running_var"), 0.9 * before.at("running_var") + 0.1 * var, 1e-12));
  EXPECT_EQ(after.at("num_batches_tracked").item<int64_t>(), 1);
}

TEST(Norm, BatchInEvaluation) {
  auto norm = make_norm(NormKind::batch, 6, /*training=*/false);
  const auto x = test::randn({4, 6, 3, 5}, 6);
  const auto state = test::buffers(*norm);
  const auto scale = norm->named_parameters()["weight"] / (state.at("running_var") + 1e-5).sqrt();
  const auto shift = norm->named_parameters()["bias"] - state.at("running_mean") * scale;
  const auto expected = x * scale.view({1, 6, 1, 1}) + shift.view({1, 6, 1, 1});
  EXPECT_TRUE(test::is_near(norm->forward(x), expected, 1e-12));
  EXPECT_TRUE(test::is_near(norm->forward(x, at::zeros({4}, at::kBool)), expected, 1e-12));  // a mask says nothing here
  EXPECT_TRUE(test::are_equal(test::buffers(*norm), state));
}

TEST(Norm, BatchTakesStatisticsFromTheMaskedSamples) {
  const auto x = test::randn({5, 6, 3, 2}, 7) + at::arange(5, at::kDouble).view({5, 1, 1, 1});
  const auto chosen = at::tensor({1, 2, 4}, at::kLong);
  const auto mask = at::zeros({5}, at::kBool).index_fill(0, chosen, true);
  auto norm = make_norm(NormKind::batch, 6), alone = make_norm(NormKind::batch, 6);
  const auto y = norm->forward(x, mask);
  EXPECT_TRUE(test::is_near(y.index_select(0, chosen), alone->forward(x.index_select(0, chosen)), 1e-12));
  EXPECT_TRUE(test::are_near(test::buffers(*norm), test::buffers(*alone), 1e-12));
}

TEST(Norm, BatchWithOneValueAChannelGivesTheBias) {
  const auto one_of_three = at::tensor({0, 1, 0}).to(at::kBool);
  const auto none = at::zeros({3}, at::kBool);
  const std::pair<int64_t, SampleMask> cases[] = {
      {1, std::nullopt}, {1, at::ones({1}, at::kBool)}, {3, one_of_three}, {3, none}};
  for (const auto& [batch, mask] : cases) {
    auto norm = make_norm(NormKind::batch, 6);
    const auto before = test::buffers(*norm);
    const auto y = norm->forward(test::randn({batch, 6, 1, 1}, 8), mask);
    EXPECT_TRUE(y.equal(norm->named_parameters()["bias"].view({1, 6, 1, 1}).expand({batch, 6, 1, 1})));
    EXPECT_TRUE(test::are_equal(test::buffers(*norm), before));  // bit for bit
  }
}

// at::batch_norm of LibTorch 2.11 gets these wrong by itself, see batch_norm_act.cpp.
TEST(Norm, BatchOfOneImageTakesGradientsOfAnyStrides) {
  for (const bool training : {true, false}) {
    for (const bool odd_input : {true, false}) {
      auto norm = make_norm(NormKind::batch, 7, training), same = make_norm(NormKind::batch, 7, training);
      const auto transposed = [](uint64_t seed) {
        return test::randn({1, 12, 7}, seed).transpose(1, 2).view({1, 7, 4, 3});
      };
      auto x = odd_input ? transposed(9) : test::randn({1, 7, 4, 3}, 9);
      auto plain = x.clone(at::MemoryFormat::Contiguous).requires_grad_();
      x.requires_grad_();
      const auto gradient = odd_input ? test::randn({1, 7, 4, 3}, 10) : transposed(10);
      norm->forward(x).backward(gradient);
      same->forward(plain).backward(gradient.contiguous());
      EXPECT_TRUE(test::are_near(test::gradients(*norm), test::gradients(*same), 1e-12));
      EXPECT_TRUE(test::is_near(x.grad(), plain.grad(), 1e-12));
      EXPECT_TRUE(test::is_near(test::gradients(*norm).at("bias"), gradient.sum({0, 2, 3}), 1e-12));
    }
  }
}

TEST(Norm, Group) {
  for (const int64_t channels : {10, 12, 11, 24}) {
    auto norm = make_norm(NormKind::group, channels);
    const auto x = 1 + 2 * test::randn({3, channels, 4, 2}, 11);
    const int64_t groups = largest_divisor_up_to_8(channels);
    const auto parts = x.view({3, groups, channels / groups, 4, 2});
    const auto mean = parts.mean({2, 3, 4}, /*keepdim=*/true);
    const auto var = (parts - mean).square().mean({2, 3, 4}, /*keepdim=*/true);
    const auto expected = ((parts - mean) / (var + 1e-5).sqrt()).view(x.sizes()) *
                              norm->named_parameters()["weight"].view({1, -1, 1, 1}) +
                          norm->named_parameters()["bias"].view({1, -1, 1, 1});
    EXPECT_TRUE(test::is_near(norm->forward(x), expected, 1e-12)) << channels;
  }
}

TEST(Norm, Layer) {
  auto norm = make_norm(NormKind::layer, 10);
  const auto x = 1 + 2 * test::randn({3, 10, 4, 2}, 12);
  EXPECT_TRUE(test::is_near(norm->forward(x), normalised(x, {1}, norm), 1e-12));
}

TEST(ConvNormAct, IsConvolutionThenNormThenGelu) {
  ConvNormAct block(ConvShape{.in = 3, .out = 5, .kernel = 3, .dilation = 2}, NormKind::batch);
  block->to(at::kDouble);
  test::randomize(*block, 13);
  block->eval();
  const auto state = state_dict(*block);
  const auto x = test::randn({2, 3, 6, 5}, 14);
  const auto conv = at::conv2d(x, state.at("conv.weight"), {}, 1, /*padding=*/2, /*dilation=*/2);
  const auto column = [&](const char* name) { return state.at(name).view({1, 5, 1, 1}); };
  const auto z =
      (conv - column("norm.running_mean")) / (column("norm.running_var") + 1e-5).sqrt() * column("norm.weight") +
      column("norm.bias");
  const auto y = block->forward(x);
  EXPECT_EQ(y.sizes(), (std::vector<int64_t>{2, 5, 6, 5}));
  EXPECT_TRUE(test::is_near(y, 0.5 * z * (1 + (z / std::sqrt(2.0)).erf()), 1e-12));
  EXPECT_FALSE(state.contains("conv.bias"));
}

}  // namespace
}  // namespace codmoe::nn
