// What the balance methods are for: a router that collapses without them, trained with each.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "moe/layer_run.h"
#include "support/register_once.h"

namespace codmoe::moe {
namespace {

/// y = x * scale, a scale a channel: an expert that learns in a few steps.
class ScaleExpert final : public experts::Expert {
 public:
  explicit ScaleExpert(int64_t dim) : scale_(register_parameter("scale", at::ones({1, dim, 1, 1}))) {}
  at::Tensor forward(const at::Tensor& x_bchw, const nn::SampleMask&) override { return x_bchw * scale_; }

 private:
  at::Tensor scale_;
};

constexpr int64_t kDim = 8, kExperts = 4, kSteps = 400, kMeasured = 50;

class BalanceTraining : public testing::TestWithParam<RoutingKind> {
 protected:
  static void SetUpTestSuite() {
    test::register_once("scale", [](const auto& options) { return std::make_shared<ScaleExpert>(options.dim); });
  }

  /// The gate prefers the first two experts, whatever it sees: nothing ever teaches it the others.
  static SparseCODMoE preferring_layer(const BalanceOptions& balance) {
    at::manual_seed(3);
    SparseCODMoE layer(kDim, MoeOptions{.experts = std::vector<std::string>(kExperts, "scale"),
                                        .top_k = 2,
                                        .routing = GetParam(),
                                        .norm = nn::NormKind::layer,
                                        .balance = balance});
    const at::NoGradGuard no_grad;
    layer->named_parameters()["router.gate.bias"].copy_(at::tensor({3.0F, 3.0F, 0.0F, 0.0F}));
    return layer;
  }

  /// The task: to scale the channels of an image by what its first channel's sign asks for.
  static at::Tensor task_loss(const at::Tensor& x, const at::Tensor& y) {
    const auto sign = x.mean({2, 3}, /*keepdim=*/true).narrow(1, 0, 1).sign();
    return (y - x * (1.5 + 0.5 * sign)).square().mean();
  }

  /// Trains and returns the coefficient of variation of the load over the last steps.
  static double trained_variation(const BalanceOptions& balance) {
    auto layer = preferring_layer(balance);
    auto load = at::zeros({kExperts});
    for (int64_t step = 0; step < kSteps; ++step) {
      const auto x = spread_images({16, kDim, 2, 2}, 1000 + static_cast<uint64_t>(step)).to(at::kFloat);
      layer->zero_grad();
      const auto [y, routing] = layer->forward(x);
      (task_loss(x, y) + balance_loss(routing, balance, 0)).backward();
      for (auto& parameter : layer->parameters()) {
        const at::NoGradGuard no_grad;
        if (parameter.grad().defined()) parameter.sub_(parameter.grad(), 0.1);
      }
      layer->update_balance();
      if (step >= kSteps - kMeasured) load += assignment_counts(routing);
    }
    return (load.std(/*unbiased=*/false) / load.mean()).item<double>();
  }
};

TEST_P(BalanceTraining, CollapsesWithoutBalance) {
  EXPECT_GT(trained_variation({.method = BalanceMethod::off, .entropy = 0}), 0.7);
}

TEST_P(BalanceTraining, TheLossBalances) { EXPECT_LT(trained_variation({.min = 1.0, .max = 1.0, .entropy = 0}), 0.2); }

TEST_P(BalanceTraining, TheBiasBalances) {
  EXPECT_LT(trained_variation({.method = BalanceMethod::bias, .rate = 2e-3, .entropy = 0}), 0.2);
}

INSTANTIATE_TEST_SUITE_P(All, BalanceTraining, testing::Values(RoutingKind::global, RoutingKind::spatial),
                         [](const auto& which) { return std::string(core::name_of(which.param)); });

class BalanceBias : public testing::TestWithParam<RoutingKind> {
 protected:
  static SparseCODMoE layer_of(BalanceMethod method) {
    return make_layer(8, {.routing = GetParam(), .balance = {.method = method, .rate = 0.25}}, 51);
  }
  const at::Tensor x_ = spread_images({5, 8, 3, 4}, 52);
};

// The same choice: bias zero, or the same for all.
TEST_P(BalanceBias, AddsNoGradient) {
  auto off = layer_of(BalanceMethod::off), bias = layer_of(BalanceMethod::bias);
  const auto expected = run_layer(off, Dispatch::batched, x_, x_);
  for (const double value : {0.0, 0.5}) {
    bias->router()->selection_bias()->fill_(value);
    const auto actual = run_layer(bias, Dispatch::batched, x_, x_);
    EXPECT_TRUE(actual.routing.indices.equal(expected.routing.indices));
    EXPECT_TRUE(actual.y.equal(expected.y));
    EXPECT_TRUE(test::are_equal(actual.gradients, expected.gradients));
    const auto loss = [&](const LayerRun& run, const SparseCODMoE& layer) {
      return balance_loss(run.routing, layer->options().balance, 100);
    };
    EXPECT_TRUE(loss(actual, bias).equal(loss(expected, off)));
  }
}

TEST_P(BalanceBias, ChangesTheChoiceAndNotTheWeights) {
  auto layer = layer_of(BalanceMethod::bias);
  const auto before = layer->router()->forward(x_);
  layer->router()->selection_bias()->copy_(at::tensor({0.0, 0.0, 0.0, 0.0, 0.0, 2.0}));
  const auto after = layer->router()->forward(x_);
  EXPECT_TRUE(after.probs.equal(before.probs));
  EXPECT_TRUE(after.indices.select(1, 0).eq(5).all().item<bool>());
  EXPECT_FALSE(after.indices.equal(before.indices));
  const auto chosen = before.probs.gather(1, after.indices);
  EXPECT_TRUE(after.weights.equal(chosen / chosen.sum(1, /*keepdim=*/true)));
}

TEST_P(BalanceBias, MovesAgainstTheLoadOfTheStep) {
  auto layer = layer_of(BalanceMethod::bias);
  force_routes(layer, {0, 3, 0, 0, 2, 0});
  layer->forward(x_);  // two batches of one step
  force_routes(layer, {0, 3, 2, 0, 0, 0});
  layer->forward(x_);
  layer->eval();
  force_routes(layer, {9, 0, 0, 0, 0, 9});
  layer->forward(x_);  // not training: not counted
  layer->update_balance();
  // Loads 0, 2n, n, 0, n, 0 with a mean of 2n / 3.
  const auto expected = at::tensor({0.25, -0.25, -0.25, 0.25, -0.25, 0.25}, at::kDouble);
  EXPECT_TRUE(layer->router()->selection_bias()->equal(expected));
  layer->update_balance();  // nothing was counted since
  EXPECT_TRUE(layer->router()->selection_bias()->equal(expected));
}

TEST_P(BalanceBias, OtherMethodsHaveNone) {
  for (const auto method : {BalanceMethod::loss, BalanceMethod::off}) {
    auto layer = layer_of(method);
    layer->forward(x_);
    layer->update_balance();
    EXPECT_FALSE(nn::state_dict(*layer).contains("router.selection_bias"));
  }
}

INSTANTIATE_TEST_SUITE_P(All, BalanceBias, testing::Values(RoutingKind::global, RoutingKind::spatial),
                         [](const auto& which) { return std::string(core::name_of(which.param)); });

}  // namespace
}  // namespace codmoe::moe
