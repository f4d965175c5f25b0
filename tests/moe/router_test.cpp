#include "codmoe/moe/router.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "moe/layer_run.h"

namespace codmoe::moe {
namespace {

/// A router whose logits are the means of the first channels: gate = identity, bias 0.
Router identity_router(int64_t dim, int64_t top_k, const RouterOptions& options = {}) {
  Router router(dim, dim, top_k, options);
  const at::NoGradGuard no_grad;
  router->named_parameters()["gate.weight"].copy_(at::eye(dim));
  router->named_parameters()["gate.bias"].zero_();
  return router;
}

/// Images of 2x2 positions with the given channel means, not constant.
at::Tensor images_with_means(const std::vector<std::vector<double>>& means) {
  std::vector<at::Tensor> rows;
  for (const auto& row : means) rows.push_back(at::tensor(row, at::kDouble));
  const auto offsets = at::tensor({1.0, -1.0, 0.5, -0.5}, at::kDouble).view({1, 1, 2, 2});
  return (at::stack(rows).view({static_cast<int64_t>(means.size()), -1, 1, 1}) + offsets).to(at::kFloat);
}

std::vector<double> values(const at::Tensor& tensor) {
  const auto flat = tensor.detach().to(at::kDouble).contiguous();
  return {flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel()};
}

TEST(Router, ChoosesByProbability) {
  auto router = identity_router(4, 2);
  const auto routing = router->forward(images_with_means({{0, 2, -1, 1}, {3, 0, 4, -2}}));
  EXPECT_TRUE(routing.indices.equal(at::tensor({1, 3, 2, 0}, at::kLong).view({2, 2})));
  EXPECT_TRUE(test::is_near(routing.logits, at::tensor({0., 2., -1., 1., 3., 0., 4., -2.}).view({2, 4}), 1e-6));
  const double sum = 1 + std::exp(2) + std::exp(-1) + std::exp(1);
  EXPECT_NEAR(routing.probs[0][2].item<double>(), std::exp(-1) / sum, 1e-6);
  // exp(2) / (exp(2) + exp(1)) and exp(4) / (exp(4) + exp(3)) are the same.
  EXPECT_NEAR(routing.weights[0][0].item<double>(), 1 / (1 + std::exp(-1)), 1e-6);
  EXPECT_NEAR(routing.weights[1][0].item<double>(), 1 / (1 + std::exp(-1)), 1e-6);
  EXPECT_NEAR(routing.weights[1][1].item<double>(), 1 / (1 + std::exp(1)), 1e-6);
}

TEST(Router, EqualProbabilitiesGoToTheLowestIndex) {
  auto router = identity_router(6, 3);
  const auto routing = router->forward(images_with_means({{1, 1, 1, 1, 1, 1}, {0, 2, 0, 2, 5, 2}}));
  EXPECT_TRUE(routing.indices.equal(at::tensor({0, 1, 2, 4, 1, 3}, at::kLong).view({2, 3})));
}

TEST(Router, ClampsLogitsAtTen) {
  auto router = identity_router(4, 2);
  const auto routing = router->forward(images_with_means({{50, 12, -30, 9}}));
  EXPECT_EQ(values(routing.logits), (std::vector<double>{50, 12, -30, 9}));        // as they are
  EXPECT_TRUE(routing.indices.equal(at::tensor({0, 1}, at::kLong).view({1, 2})));  // both 10: a tie
  EXPECT_NEAR(routing.weights[0][0].item<double>(), 0.5, 1e-6);
  EXPECT_NEAR(routing.probs[0][2].item<double>() / routing.probs[0][0].item<double>(), std::exp(-20), 1e-13);
}

TEST(Router, TemperatureDividesTheClampedLogits) {
  auto router = identity_router(4, 2, {.temperature = 2.0});
  const auto routing = router->forward(images_with_means({{30, 4, 0, 0}}));
  EXPECT_NEAR(routing.weights[0][0].item<double>(), 1 / (1 + std::exp((4.0 - 10.0) / 2)), 1e-6);
}

/// `router` has 4 experts and noise 0.5, and agrees on them for `x`.
void expect_noise_in_training_alone(Router router, const at::Tensor& x) {
  router->eval();
  const auto calm = router->forward(x).probs;
  EXPECT_TRUE(calm.equal(at::full(calm.sizes(), 0.25)));
  router->train();
  at::manual_seed(1);
  const auto routing = router->forward(x);
  EXPECT_EQ(routing.logits.count_nonzero().item<int64_t>(), 0);  // without noise, for the balance loss
  // A difference of two log-probabilities is a difference of two independent noises.
  const auto log_probs = routing.probs.log();
  EXPECT_NEAR((log_probs.select(1, 0) - log_probs.select(1, 3)).std().item<double>(), 0.5 * std::sqrt(2.0), 0.01);
  at::manual_seed(1);
  EXPECT_TRUE(router->forward(x).probs.equal(routing.probs));  // the seeded generator's
}

TEST(Router, AddsNoiseInTrainingAlone) {
  expect_noise_in_training_alone(identity_router(4, 1, {.noise = 0.5}), at::zeros({20000, 4, 1, 1}));
}

class RouterKinds : public testing::TestWithParam<RoutingKind> {};

TEST_P(RouterKinds, IsFloat32UnderAutocast) {
  Router router(16, 6, 2, RouterOptions{}, RouterForm{.routing = GetParam()});
  const auto x = test::randn({8, 16, 5, 5}, 4).to(at::kFloat);
  const auto plain = router->forward(x);
  const auto from_bfloat16 = router->forward(x.to(at::kBFloat16).to(at::kFloat));
  const Bfloat16Autocast autocast(at::kCPU);
  const auto y = at::linear(x.select(2, 0).select(2, 0), at::ones({3, 16}));
  ASSERT_EQ(y.scalar_type(), at::kBFloat16);  // autocast is on
  const auto routing = router->forward(x);
  EXPECT_EQ(routing.logits.scalar_type(), at::kFloat);
  EXPECT_EQ(routing.probs.scalar_type(), at::kFloat);
  EXPECT_EQ(routing.weights.scalar_type(), at::kFloat);
  EXPECT_TRUE(routing.logits.equal(plain.logits));
  EXPECT_TRUE(routing.weights.equal(plain.weights));
  // Features that autocast made bfloat16 are widened before the mean.
  EXPECT_TRUE(test::is_near(router->forward(x.to(at::kBFloat16)).logits, from_bfloat16.logits, 1e-6));
}

TEST_P(RouterKinds, GradientsFlowThroughTheWeights) {
  auto layer = make_layer(8, {.routing = GetParam()}, 12);
  layer->eval();
  const auto x = spread_images({5, 8, 3, 3}, 13);
  const auto upstream = test::randn(x.sizes(), 14);
  const auto gradient = run_layer(layer, Dispatch::batched, x, upstream).gradients.at("router.gate.weight");
  auto weight = layer->named_parameters()["router.gate.weight"];
  const auto objective = [&](double step) {
    const at::NoGradGuard no_grad;
    weight[2][1] += step;
    const double value = (layer->forward(x).y_bchw * upstream).sum().item<double>();
    weight[2][1] -= step;
    return value;
  };
  const double expected = (objective(1e-5) - objective(-1e-5)) / 2e-5;
  ASSERT_GT(std::abs(expected), 1e-3);
  EXPECT_NEAR(gradient[2][1].item<double>(), expected, 1e-6 * std::abs(expected) + 1e-8);
}

INSTANTIATE_TEST_SUITE_P(All, RouterKinds, testing::Values(RoutingKind::global, RoutingKind::spatial),
                         [](const auto& which) { return std::string(core::name_of(which.param)); });

TEST(Router, OneExpertHasWeightOneAndNoGradient) {
  auto layer = make_layer(8, {.top_k = 1}, 15);
  const auto x = spread_images({5, 8, 3, 3}, 16);
  const auto run = run_layer(layer, Dispatch::batched, x, x);
  EXPECT_TRUE(run.routing.weights.equal(at::ones({5, 1}, at::kDouble)));
  EXPECT_LT(run.gradients.at("router.gate.weight").abs().max().item<double>(), 1e-12);
}

/// A spatial router of 4 experts that agree everywhere: its gate is zero.
Router even_router(const RouterOptions& options, bool selection_bias = false) {
  Router router(8, 4, 2, options, RouterForm{.routing = RoutingKind::spatial, .selection_bias = selection_bias});
  const at::NoGradGuard no_grad;
  router->named_parameters()["gate.weight"].zero_();
  router->named_parameters()["gate.bias"].zero_();
  return router;
}

TEST(SpatialRouter, AddsNoiseToEveryPositionInTrainingAlone) {
  expect_noise_in_training_alone(even_router({.noise = 0.5}), at::zeros({2, 8, 100, 100}));
}

TEST(SpatialRouter, TemperatureDividesTheClampedLogits) {
  auto router = even_router({.temperature = 2.0});
  router->eval();
  {
    const at::NoGradGuard no_grad;
    router->named_parameters()["gate.bias"].copy_(at::tensor({30.0F, 4.0F, 0.0F, 0.0F}));
  }
  const auto routing = router->forward(at::zeros({1, 8, 2, 3}));
  const double expected = 1 / (1 + std::exp((4.0 - 10.0) / 2));
  EXPECT_TRUE(test::is_near(routing.weights.select(1, 0), at::full({1, 2, 3}, expected), 1e-6));
}

TEST(SpatialRouter, TiesGoToTheLowestIndexEverywhere) {
  auto router = even_router({});
  const auto x = test::randn({2, 8, 3, 5}, 6).to(at::kFloat);
  const auto first_two = at::tensor({0, 1}, at::kLong).view({1, 2, 1, 1}).expand({2, 2, 3, 5});
  EXPECT_TRUE(router->forward(x).indices.equal(first_two));
}

TEST(SelectionBias, IsABufferOfItsMethodAlone) {
  EXPECT_FALSE(even_router({})->selection_bias().has_value());
  EXPECT_FALSE(nn::state_dict(*even_router({})).contains("selection_bias"));
  auto router = even_router({}, /*selection_bias=*/true);
  EXPECT_TRUE(nn::state_dict(*router).at("selection_bias").equal(at::zeros({4})));
  router->selection_bias()->copy_(at::tensor({0.0F, 0.0F, 0.1F, 0.2F}));
  const auto routing = router->forward(at::zeros({1, 8, 2, 2}));
  EXPECT_TRUE(routing.indices.equal(at::tensor({3, 2}, at::kLong).view({1, 2, 1, 1}).expand({1, 2, 2, 2})));
  EXPECT_TRUE(routing.weights.equal(at::full({1, 2, 2, 2}, 0.5)));
  EXPECT_TRUE(routing.probs.equal(at::full({1, 4, 2, 2}, 0.25)));
}

}  // namespace
}  // namespace codmoe::moe
