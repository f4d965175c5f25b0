// The schedule and the options; the loss itself is in layer_vectors_test.cpp.
#include "codmoe/moe/balance.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "codmoe/core/options_json.h"

namespace codmoe::moe {
namespace {

TEST(BalanceSchedule, RisesBetweenItsEpochs) {
  const BalanceOptions options;
  const std::pair<int64_t, double> expected[] = {{0, 1e-5},    {29, 1e-5},    {30, 1e-5}, {31, 1.15e-5}, {45, 3.25e-5},
                                                 {60, 5.5e-5}, {89, 9.85e-5}, {90, 1e-4}, {91, 1e-4},    {120, 1e-4}};
  for (const auto& [epoch, value] : expected) EXPECT_NEAR(balance_coefficient(options, epoch), value, 1e-15) << epoch;
}

TEST(BalanceSchedule, TakesOtherEpochsAndValues) {
  const BalanceOptions options{.min = 0.0, .max = 2.0, .start = 0, .end = 4};
  EXPECT_EQ(balance_coefficient(options, 0), 0.0);
  EXPECT_EQ(balance_coefficient(options, 1), 0.5);
  EXPECT_EQ(balance_coefficient(options, 4), 2.0);
}

/// `rows` of probabilities, the first k experts chosen.
Routing routing_of(const at::Tensor& probs, const at::Tensor& indices) {
  return {.logits = probs.log(), .probs = probs, .indices = indices, .weights = at::Tensor()};
}

TEST(BalanceLoss, UniformRoutingHasTheLowestImbalance) {
  const BalanceOptions options{.min = 1, .max = 1, .entropy = 0};
  const auto ids = at::arange(6, at::kLong).view({6, 1});
  EXPECT_NEAR(balance_loss(routing_of(at::full({6, 6}, 1.0 / 6), ids), options, 0).item<double>(), 1.0, 1e-6);
  // All on one expert, with certainty: E times as much.
  const auto one = at::zeros({6, 6}).index_fill(1, at::zeros({1}, at::kLong), 1.0);
  EXPECT_NEAR(balance_loss(routing_of(one, at::zeros({6, 1}, at::kLong)), options, 0).item<double>(), 6.0, 1e-6);
}

TEST(BalanceLoss, FollowsTheSchedule) {
  const BalanceOptions options{.entropy = 0};
  const auto routing = routing_of(at::full({6, 6}, 1.0 / 6, at::kDouble), at::arange(6, at::kLong).view({6, 1}));
  EXPECT_NEAR(balance_loss(routing, options, 60).item<double>(), 5.5e-5, 1e-15);
  EXPECT_NEAR(balance_loss(routing, options, 120).item<double>(), 1e-4, 1e-15);
}

TEST(BalanceLoss, EncouragesEntropy) {
  const BalanceOptions options{.min = 0, .max = 0};
  const auto routing = routing_of(at::full({2, 6}, 1.0 / 6, at::kDouble), at::zeros({2, 1}, at::kLong));
  EXPECT_NEAR(balance_loss(routing, options, 0).item<double>(), -5e-5 * std::log(6.0), 1e-15);
}

TEST(BalanceLoss, StaysFiniteWhereAProbabilityUnderflows) {
  auto probs = at::tensor({1.0F, 0.0F}).view({1, 2}).requires_grad_();
  const auto loss = balance_loss({at::tensor({200.0F, -200.0F}).view({1, 2}), probs, at::zeros({1, 1}, at::kLong), {}},
                                 {.entropy = 1, .z = 1}, 0);
  loss.backward();
  EXPECT_TRUE(std::isfinite(loss.item<double>()));
  EXPECT_TRUE(probs.grad().isfinite().all().item<bool>());
}

TEST(BalanceLoss, CountsAssignments) {
  const auto indices = at::tensor({1, 2, 1, 0, 1, 2}, at::kLong).view({3, 2});
  const auto counts = assignment_counts(routing_of(at::full({3, 4}, 0.25), indices));
  EXPECT_TRUE(counts.equal(at::tensor({1.0F, 3.0F, 2.0F, 0.0F})));
}

TEST(BalanceLoss, CountsThePositionsOfSpatialRouting) {
  const auto indices = at::tensor({1, 2, 1, 0, 0, 1, 2, 1}, at::kLong).view({1, 2, 2, 2});
  const auto counts = assignment_counts(routing_of(at::full({1, 4, 2, 2}, 0.25), indices));
  EXPECT_TRUE(counts.equal(at::tensor({2.0F, 4.0F, 2.0F, 0.0F})));
}

TEST(BalanceLoss, OtherMethodsLeaveOutTheImbalanceAlone) {
  const auto routing = routing_of(at::full({2, 6}, 1.0 / 6, at::kDouble), at::zeros({2, 1}, at::kLong));
  for (const auto method : {BalanceMethod::bias, BalanceMethod::off}) {
    const BalanceOptions options{.method = method, .min = 1, .max = 1, .entropy = 0.5, .z = 0};
    EXPECT_NEAR(balance_loss(routing, options, 0).item<double>(), -0.5 * std::log(6.0), 1e-12);
  }
}

std::string refusal(const core::Json& tree) {
  BalanceOptions options;
  try {
    core::read_options(tree, {}, options);
  } catch (const core::UsageError& error) {
    return error.what();
  }
  return "it was accepted";
}

TEST(BalanceOptions, RefusesWhatMakesNoSchedule) {
  EXPECT_EQ(refusal({{"start", 30}, {"end", 30}}), "end must be after start (30); it is 30");
  EXPECT_EQ(refusal({{"min", 0.5}}), "max must be at least min (0.5); it is 0.0001");
  EXPECT_EQ(refusal({{"entropy", -1}}), "entropy must be at least 0; it is -1");
  EXPECT_EQ(refusal({{"rate", 0}}), "rate must be above 0; it is 0");
  EXPECT_NE(refusal({{"method", "aux"}}).find("loss, bias, off"), std::string::npos) << refusal({{"method", "aux"}});
  EXPECT_EQ(refusal({{"start", 0}, {"end", 1}}), "it was accepted");
}

}  // namespace
}  // namespace codmoe::moe
