#include "codmoe/ops/batch_norm_act.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/tensors.h"

namespace codmoe::ops {
namespace {

BatchNormState make_state(int64_t channels) {
  return {.weight = (1 + 0.3 * test::randn({channels}, 1)).requires_grad_(),
          .bias = test::randn({channels}, 2).requires_grad_(),
          .running_mean = test::randn({channels}, 3),
          .running_var = test::randn({channels}, 4).abs() + 0.5,
          .eps = 1e-3,
          .momentum = 0.2};
}

at::Tensor mask_of(int64_t batch, const std::vector<int64_t>& chosen) {
  return at::zeros({batch}, at::kBool).index_fill(0, at::tensor(chosen, at::kLong), true);
}

at::Tensor masked_norm(const at::Tensor& x_bchw, const at::Tensor& mask_b, const BatchNormState& state) {
  return batch_norm_act(x_bchw, mask_b, state, Activation::none);
}

TEST(BatchNormAct, AgreesWithBatchNormOfTheSubset) {
  for (const auto& chosen : std::vector<std::vector<int64_t>>{{0, 1, 2, 3, 4}, {1, 3}, {2}}) {
    SCOPED_TRACE(testing::PrintToString(chosen));
    const auto indices = at::tensor(chosen, at::kLong);
    auto x = (3 + 2 * test::randn({5, 4, 3, 6}, 5)).requires_grad_();
    const auto upstream = test::randn({5, 4, 3, 6}, 6).index_select(0, indices);
    const auto state = make_state(4);
    const auto y = masked_norm(x, mask_of(5, chosen), state).index_select(0, indices);
    y.backward(upstream);

    auto subset = x.detach().index_select(0, indices).requires_grad_();
    const auto same = make_state(4);
    const auto expected = at::batch_norm(subset, same.weight, same.bias, same.running_mean, same.running_var,
                                         /*training=*/true, same.momentum, same.eps, /*cudnn_enabled=*/false);
    expected.backward(upstream);
    EXPECT_TRUE(test::is_near(y, expected, 1e-12));
    EXPECT_TRUE(test::is_near(x.grad(), at::zeros_like(x).index_copy(0, indices, subset.grad()), 1e-12));
    EXPECT_TRUE(test::is_near(state.weight.grad(), same.weight.grad(), 1e-12));
    EXPECT_TRUE(test::is_near(state.bias.grad(), same.bias.grad(), 1e-12));
    EXPECT_TRUE(test::is_near(state.running_mean, same.running_mean, 1e-12));
    EXPECT_TRUE(test::is_near(state.running_var, same.running_var, 1e-12));
  }
}

TEST(BatchNormAct, OtherSamplesCarryNoWeight) {
  const auto x = test::randn({3, 2, 4, 4}, 7);
  auto other = x.clone();
  other[1].fill_(1e6);
  const auto mask = mask_of(3, {0, 2});
  const auto first = make_state(2), second = make_state(2);
  const auto a = masked_norm(x, mask, first), b = masked_norm(other, mask, second);
  EXPECT_TRUE(a[0].equal(b[0]));
  EXPECT_TRUE(a[2].equal(b[2]));
  EXPECT_TRUE(first.running_var.equal(second.running_var));
}

TEST(BatchNormAct, TooFewValuesGiveTheBias) {
  const auto one_value = test::randn({3, 2, 1, 1}, 8), image = test::randn({3, 2, 4, 4}, 8);
  for (const auto& [x, mask] : {std::pair(one_value, mask_of(3, {1})), std::pair(image, mask_of(3, {}))}) {
    const auto state = make_state(2), before = make_state(2);
    auto input = x.clone().requires_grad_();
    const auto y = masked_norm(input, mask, state);
    y.sum().backward();
    EXPECT_TRUE(y.equal(state.bias.view({1, 2, 1, 1}).expand_as(y)));
    EXPECT_TRUE(state.running_mean.equal(before.running_mean));
    EXPECT_TRUE(state.running_var.equal(before.running_var));
    EXPECT_EQ(input.grad().count_nonzero().item<int64_t>(), 0);
    EXPECT_EQ(state.weight.grad().count_nonzero().item<int64_t>(), 0);
  }
}

TEST(BatchNormAct, StatisticsOfBfloat16AreFloat32) {
  // The mean of values near 300 is lost in bfloat16, whose steps there are 2.
  const auto x = (300 + test::randn({8, 2, 8, 8}, 9)).to(at::kBFloat16);
  auto state = make_state(2);
  state.running_mean = at::zeros({2});
  state.running_var = at::ones({2});
  state.momentum = 1.0;
  const auto y = masked_norm(x, at::ones({8}, at::kBool), state);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(test::is_near(state.running_mean, x.to(at::kDouble).mean({0, 2, 3}), 1e-6));
  EXPECT_TRUE(test::is_near(state.running_var, x.to(at::kDouble).var(at::IntArrayRef{0, 2, 3}, true), 1e-4));
}

TEST(BatchNormAct, ActivatesWhatItNorms) {
  const auto x = 4 * test::randn({3, 2, 4, 4}, 10);
  const auto mask = mask_of(3, {0, 2});
  for (const auto& chosen : {std::optional<at::Tensor>(), std::optional(mask)}) {
    const auto of = [&](Activation activation) { return batch_norm_act(x, chosen, make_state(2), activation); };
    const auto normed = of(Activation::none);
    EXPECT_TRUE(of(Activation::relu).equal(normed.clamp_min(0)));
    EXPECT_TRUE(of(Activation::relu6).equal(normed.clamp(0, 6)));
    EXPECT_TRUE(test::is_near(of(Activation::gelu), normed * 0.5 * (1 + (normed / std::sqrt(2.0)).erf()), 1e-12));
  }
}

TEST(BatchNormAct, CountsBatches) {
  auto state = make_state(2);
  state.batches = at::zeros({}, at::kLong);
  masked_norm(test::randn({3, 2, 4, 4}, 11), mask_of(3, {1}), state);
  batch_norm_act(test::randn({3, 2, 4, 4}, 11), std::nullopt, state, Activation::none);
  masked_norm(test::randn({3, 2, 4, 4}, 11), mask_of(3, {}), state);  // no value: nothing to count
  EXPECT_EQ(state.batches.item<int64_t>(), 2);
}

TEST(BatchNormAct, RefusesOtherShapes) {
  const auto state = make_state(2);
  const auto x = at::zeros({3, 2, 4, 4}, at::kDouble);
  EXPECT_THROW(masked_norm(x[0], mask_of(3, {0}), state), c10::Error);
  EXPECT_THROW(masked_norm(x, mask_of(2, {0}), state), c10::Error);
  EXPECT_THROW(masked_norm(x, at::ones({3}), state), c10::Error);
}

}  // namespace
}  // namespace codmoe::ops
