// Gradients of the router, the balance loss and the whole layer against central differences. The choice of experts has
// no derivative: images are such that no step changes it.
#include <gtest/gtest.h>

#include "experts/kinks.h"
#include "moe/layer_run.h"
#include "support/gradcheck.h"

namespace codmoe::moe {
namespace {

constexpr BalanceOptions kAllTerms{.min = 0.5, .max = 0.5, .entropy = 0.25, .z = 0.125};

/// Whether small steps leave the order of the first k + 1 experts (two at the clamp stay there) and the clamp's sides.
bool has_margins(const Routing& routing) {
  const auto sorted = std::get<0>(routing.probs.detach().log().sort(1, /*descending=*/true));
  const auto last = std::min(routing.top_k(), routing.experts() - 1);
  const auto gaps = sorted.narrow(1, 0, last) - sorted.narrow(1, 1, last);
  const auto clamped = (routing.logits.detach().abs() - 10).abs();
  return ((gaps > 1e-3) | (gaps == 0)).all().item<bool>() && clamped.min().item<double>() > 1e-3;
}

test::TensorMap results_of(const Routing& routing) {
  return {{"logits", routing.logits},
          {"probs", routing.probs},
          {"weights", routing.weights},
          {"balance", balance_loss(routing, kAllTerms, 0)}};
}

testing::AssertionResult check_router(const RouterOptions& options, int64_t top_k, double gain,
                                      const RouterForm& form = {}) {
  Router router(5, 4, top_k, options, form);
  router->to(at::kDouble);
  test::randomize(*router, 1);
  auto leaves = test::parameters(*router);
  {
    const at::NoGradGuard no_grad;
    leaves.at("gate.weight").mul_(gain);
  }
  const auto x = test::leaf(spread_images({3, 5, 2, 3}, 3));
  leaves["x"] = x;
  at::manual_seed(6);
  if (!has_margins(router->forward(x))) return testing::AssertionFailure() << "no margin";
  const auto function = [&] {
    at::manual_seed(6);  // the same noise each time
    return results_of(router->forward(x));
  };
  return test::gradcheck(function, leaves, {.full = true});
}

TEST(RouterGradients, AgreeWithCentralDifferences) {
  for (int64_t top_k = 1; top_k <= 4; ++top_k) EXPECT_TRUE(check_router({}, top_k, 1)) << top_k;
  EXPECT_TRUE(check_router({.temperature = 0.6}, 2, 1));
  EXPECT_TRUE(check_router({.noise = 0.5}, 2, 1));
  EXPECT_TRUE(check_router({}, 3, 6));  // beyond the clamp
}

TEST(RouterGradients, AgreeForSpatialRouting) {
  for (const auto norm : kNorms) {
    EXPECT_TRUE(check_router({.temperature = 0.6}, 2, 1, {.routing = RoutingKind::spatial, .norm = norm}))
        << core::name_of(norm);
  }
}

TEST(BalanceGradients, AgreeWithCentralDifferences) {
  const auto logits = test::leaf(2 * test::randn({5, 4}, 7)), probs = test::leaf(test::randn({5, 4}, 8).softmax(1));
  const auto indices = test::randn({5, 4}, 9).argsort(/*dim=*/int64_t{1}).narrow(1, 0, 2).contiguous();
  for (const auto& options : {BalanceOptions{.min = 1, .max = 1, .entropy = 0},
                              {.min = 0, .max = 0, .entropy = 1},
                              {.min = 0, .max = 0, .entropy = 0, .z = 1},
                              kAllTerms}) {
    const auto function = [&] {
      return test::TensorMap{
          {"loss", balance_loss({logits, probs, indices, at::Tensor()}, options, 50) + 0 * probs.sum()}};
    };
    EXPECT_TRUE(test::gradcheck(function, {{"logits", logits}, {"probs", probs}},
                                {.full = true, .step = 1e-5, .absolute = 1e-9}));
  }
}

struct Case {
  MoeOptions options;
  bool training = true;
  bool one_route = false;
};

testing::AssertionResult check_layer(const Case& c, at::IntArrayRef shape, Dispatch strategy) {
  auto layer = make_layer(shape[1], c.options, 2);
  layer->train(c.training);
  layer->set_dispatch(strategy);
  if (c.one_route) {
    std::vector<double> bias(c.options.experts.size(), 0.0);
    for (std::size_t e = 0; e < bias.size(); ++e) bias[e] = static_cast<double>((e + 1) % bias.size());
    force_routes(layer, bias);
  }
  const auto accept = [&](const at::Tensor& images) { return has_margins(layer->router()->forward(images)); };
  const auto x = test::leaf(experts::images_off_kinks(shape, 3, accept));
  auto leaves = test::parameters(*layer);
  leaves["x"] = x;

  const auto routes = layer->router()->forward(x).indices;
  bool held = true;
  const auto function = [&] {
    const auto [y_bchw, routing] = layer->forward(x);
    held = held && routing.indices.equal(routes);
    auto results = results_of(routing);
    results["y"] = y_bchw;
    return results;
  };
  const auto answer = test::gradcheck(function, leaves);
  return held ? answer : testing::AssertionFailure() << "a step changed the routes";
}

class LayerGradients : public testing::TestWithParam<StrategyAndRouting> {
 protected:
  static testing::AssertionResult check(Case c, at::IntArrayRef shape) {
    c.options.routing = std::get<RoutingKind>(GetParam());
    return check_layer(c, shape, std::get<Dispatch>(GetParam()));
  }
};

TEST_P(LayerGradients, AgreeWithCentralDifferencesForEveryNorm) {
  const std::vector<std::string> pool = {"edge", "texture", "edge", "attention"};
  for (const auto norm : kNorms) {
    SCOPED_TRACE(core::name_of(norm));
    EXPECT_TRUE(check({{.experts = pool, .top_k = 2, .norm = norm}}, {4, 6, 3, 4}));
  }
  EXPECT_TRUE(check({{.experts = pool, .top_k = 2}, /*training=*/false}, {4, 6, 3, 4}));
}

TEST_P(LayerGradients, AgreeForTheWholePool) { EXPECT_TRUE(check({{.top_k = 3}}, {5, 9, 4, 3})); }

TEST_P(LayerGradients, AgreeWithIdleExperts) {
  const std::vector<std::string> pool = {"contrast", "hybrid", "frequency"};
  for (const int64_t top_k : {1, 2}) {
    const Case c{{.experts = pool, .top_k = top_k}, /*training=*/true, /*one_route=*/true};
    EXPECT_TRUE(check(c, {3, 7, 1, 4})) << top_k;
    EXPECT_TRUE(check(c, {1, 7, 1, 1})) << top_k;  // one value a channel
  }
}

INSTANTIATE_TEST_SUITE_P(All, LayerGradients, kStrategiesAndRoutings, case_name);

}  // namespace
}  // namespace codmoe::moe
