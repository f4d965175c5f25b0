// What must hold of any layer, whatever its weights: relations between its results for related inputs.
#include <gtest/gtest.h>

#include <algorithm>

#include "moe/layer_cases.h"

namespace codmoe::moe {
namespace {

constexpr double kTolerance = 1e-10;
constexpr Dispatch kStrategies[] = {Dispatch::batched, Dispatch::dense, Dispatch::sequential};

/// 0 … count-1 in another order.
at::Tensor shuffled(int64_t count, uint64_t seed) { return test::randn({count}, seed).argsort(/*dim=*/int64_t{0}); }

TEST(LayerProperty, ImagesMayComeInAnyOrder) {
  test::for_all(25, draw_layer, [](const LayerCase& c) {
    auto layer = c.layer();
    const auto x = c.images(), upstream = c.upstreams(), order = shuffled(c.batch, c.seed);
    for (const auto strategy : kStrategies) {
      SCOPED_TRACE(core::name_of(strategy));
      auto expected = run_layer(layer, strategy, x, upstream);
      const auto actual = run_layer(layer, strategy, x.index_select(0, order), upstream.index_select(0, order));
      expected.y = expected.y.index_select(0, order);
      expected.routing.indices = expected.routing.indices.index_select(0, order);
      expected.routing.weights = expected.routing.weights.index_select(0, order);
      expected.gradients["input"] = expected.gradients["input"].index_select(0, order);
      // One sample at a time, the last one counts most for the running statistics.
      if (strategy == Dispatch::sequential && c.sequential_is_another()) expected.buffers = actual.buffers;
      expect_same(actual, expected, kTolerance);
    }
  });
}

/// Keeps logits far from the clamp.
void soften_gate(SparseCODMoE& layer) {
  const at::NoGradGuard no_grad;
  for (auto& parameter : layer->router()->parameters()) parameter.mul_(0.1);
}

/// "experts.3.rest" -> "experts.<new place of 3>.rest".
core::TensorMap moved(const core::TensorMap& tensors, const at::Tensor& order) {
  core::TensorMap result;
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with("router.gate.")) {
      result[name] = tensor.index_select(0, order);
    } else if (!name.starts_with("experts.")) {
      result[name] = tensor;
    }
  }
  for (int64_t e = 0; e < order.numel(); ++e) {
    const auto own = test::with_prefix(tensors, fmt::format("experts.{}.", order[e].item<int64_t>()));
    for (const auto& [name, tensor] : own) result[fmt::format("experts.{}.{}", e, name)] = tensor;
  }
  return result;
}

TEST(LayerProperty, ExpertsMayStandInAnyOrder) {
  test::for_all(25, draw_layer, [](const LayerCase& c) {
    auto layer = c.layer();
    soften_gate(layer);  // no two logits at the clamp: of ties, the first expert wins
    const auto order = shuffled(static_cast<int64_t>(c.options.experts.size()), c.seed);
    auto options = c.options;
    for (std::size_t e = 0; e < options.experts.size(); ++e) {
      options.experts[e] = c.options.experts[static_cast<std::size_t>(order[static_cast<int64_t>(e)].item<int64_t>())];
    }
    SparseCODMoE other(c.dim, options);
    other->to(at::kDouble);
    other->train(c.training);
    nn::load_state(*other, moved(nn::state_dict(*layer), order));

    const auto x = c.images(), upstream = c.upstreams();
    for (const auto strategy : kStrategies) {
      SCOPED_TRACE(core::name_of(strategy));
      auto actual = run_layer(other, strategy, x, upstream);
      auto expected = run_layer(layer, strategy, x, upstream);
      actual.routing.indices = order.take(actual.routing.indices);
      expected.gradients = moved(expected.gradients, order);
      expected.buffers = moved(expected.buffers, order);
      expect_same(actual, expected, kTolerance);
    }
  });
}

// The same mean and (biased) variance, so the same function; every parameter's gradient twice.
TEST(LayerProperty, TwiceTheSameBatchChangesNothing) {
  test::for_all(20, draw_layer, [](const LayerCase& c) {
    auto layer = c.layer();
    const auto x = c.images(), upstream = c.upstreams();
    for (const auto strategy : kStrategies) {
      SCOPED_TRACE(core::name_of(strategy));
      auto once = run_layer(layer, strategy, x, upstream);
      auto twice = run_layer(layer, strategy, at::cat({x, x}), at::cat({upstream, upstream}));
      EXPECT_TRUE(test::is_near(twice.y, at::cat({once.y, once.y}), kTolerance));
      for (auto& [name, gradient] : once.gradients) {
        gradient = name == "input" ? at::cat({gradient, gradient}) : 2 * gradient;
      }
      EXPECT_TRUE(test::are_near(twice.gradients, once.gradients, kTolerance));
    }
  });
}

// With k = E the layer is a plain mixture: the softmax of the clamped logits weighs every expert's result.
TEST(LayerProperty, AllExpertsAreAPlainMixture) {
  const auto draw = [](test::Random& random) {
    auto c = draw_layer(random);
    c.options.top_k = static_cast<int64_t>(c.options.experts.size());
    return c;
  };
  test::for_all(25, draw, [](const LayerCase& c) {
    auto layer = c.layer();
    const auto x = c.images();
    const at::NoGradGuard no_grad;
    const auto odds = layer->router()->forward(x).logits.clamp(-10, 10).exp().view(
        c.options.routing == RoutingKind::global ? std::vector<int64_t>{c.batch, -1, 1, 1}
                                                 : std::vector<int64_t>{c.batch, -1, c.height, c.width});
    auto expected = at::zeros(x.sizes(), at::kDouble);
    for (std::size_t e = 0; e < layer->pool().size(); ++e) {
      const auto weight = odds.narrow(1, static_cast<int64_t>(e), 1) / odds.sum(1, /*keepdim=*/true);
      expected += weight * layer->pool()[e]->forward(x);
    }
    for (const auto strategy : kStrategies) {
      if (strategy == Dispatch::sequential && c.sequential_is_another()) continue;
      SCOPED_TRACE(core::name_of(strategy));
      layer->set_dispatch(strategy);
      EXPECT_TRUE(test::is_near(layer->forward(x).y_bchw, expected, kTolerance));
    }
  });
}

// Every expert is residual and the weights' sum is 1: where all f(x) are 0, the layer is the identity.
TEST(LayerProperty, ExpertsThatAddNothingLeaveTheImages) {
  test::for_all(20, draw_layer, [](const LayerCase& c) {
    auto layer = c.layer();
    const at::NoGradGuard no_grad;
    for (auto& item : layer->named_parameters()) {
      const auto& name = item.key();
      const bool last = name.find("fusion.") != std::string::npos || name.find("proj.") != std::string::npos;
      if (last) item.value().zero_();
    }
    const auto x = c.images();
    for (const auto strategy : kStrategies) {
      layer->set_dispatch(strategy);
      EXPECT_TRUE(test::is_near(layer->forward(x).y_bchw, x, 1e-14)) << core::name_of(strategy);
    }
  });
}

// A constant added to all logits, or a gate and a temperature both twice as large, leave the probabilities.
TEST(LayerProperty, TheGateHasItsSymmetries) {
  test::for_all(20, draw_layer, [](const LayerCase& c) {
    auto warm_options = c.options;
    warm_options.router.temperature = 2;
    auto layer = c.layer(), shifted = c.layer();
    SparseCODMoE warm(c.dim, warm_options);
    warm->to(at::kDouble);
    warm->train(c.training);
    soften_gate(layer);
    soften_gate(shifted);
    {
      const at::NoGradGuard no_grad;
      nn::load_state(*warm, nn::state_dict(*layer));
      shifted->named_parameters()["router.gate.bias"].add_(0.75);
      warm->named_parameters()["router.gate.weight"].mul_(2);
      warm->named_parameters()["router.gate.bias"].mul_(2);
    }
    const auto x = c.images();
    const auto expected = layer->forward(x);
    ASSERT_LT(expected.routing.logits.abs().max().item<double>(), 4.5);
    for (auto* other : {&shifted, &warm}) {
      const auto actual = (*other)->forward(x);
      EXPECT_TRUE(actual.routing.indices.equal(expected.routing.indices));
      EXPECT_TRUE(test::is_near(actual.routing.weights, expected.routing.weights, kTolerance));
      EXPECT_TRUE(test::is_near(actual.y_bchw, expected.y_bchw, kTolerance));
    }
  });
}

/// Whether image `a` of one routing and image `b` of another have an expert in common.
bool share_an_expert(const Routing& first, int64_t a, const Routing& second, int64_t b) {
  return (first.indices[a].reshape({-1, 1}) == second.indices[b].reshape({1, -1})).any().item<bool>();
}

// Images know of each other only through the batch norms of experts that they share.
TEST(LayerProperty, ImagesMeetOnlyInTheirExperts) {
  int64_t alone = 0;
  const auto draw = [](test::Random& random) {
    auto c = draw_layer(random);
    c.one_route = false;
    c.options.top_k = std::min<int64_t>(c.options.top_k, 2);
    return c;
  };
  test::for_all(60, draw, [&](const LayerCase& c) {
    if (c.images_meet_in_router()) return;
    auto layer = c.layer();
    const at::NoGradGuard no_grad;
    const auto x = c.images();
    auto changed = x.clone();
    changed[0].copy_(100 * test::randn(changed[0].sizes(), c.seed + 5));
    for (const auto strategy : kStrategies) {
      SCOPED_TRACE(core::name_of(strategy));
      layer->set_dispatch(strategy);
      const auto before = layer->forward(x), after = layer->forward(changed);
      for (int64_t b = 1; b < c.batch; ++b) {
        const bool meet = share_an_expert(before.routing, b, before.routing, 0) ||
                          share_an_expert(before.routing, b, after.routing, 0);
        if (meet && c.training && c.options.norm == nn::NormKind::batch && strategy != Dispatch::sequential) continue;
        EXPECT_TRUE(test::is_near(after.y_bchw[b], before.y_bchw[b], kTolerance)) << "image " << b;
        alone += !meet;
      }
    }
  });
  EXPECT_TRUE(alone > 0 || testing::Test::HasFailure());
}

}  // namespace
}  // namespace codmoe::moe
