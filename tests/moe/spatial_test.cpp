// Spatial routing: every position gets its own mixture, from experts that saw the whole map.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "moe/layer_run.h"

namespace codmoe::moe {
namespace {

const std::vector<Dispatch> kStrategies = {Dispatch::sequential, Dispatch::batched, Dispatch::dense};

/// A layer of two experts, the best alone, in evaluation mode: the first expert where channel 0 is positive, else the
/// second.
SparseCODMoE sign_layer(nn::NormKind norm) {
  auto layer =
      make_layer(8, {.experts = {"contrast", "edge"}, .top_k = 1, .routing = RoutingKind::spatial, .norm = norm}, 41);
  layer->eval();
  const at::NoGradGuard no_grad;
  auto state = nn::state_dict(*layer);
  for (const char* zero : {"hidden.weight", "norm.running_mean", "norm.bias", "gate.weight", "gate.bias"}) {
    const auto found = state.find(std::string("router.") + zero);
    if (found != state.end()) found->second.zero_();
  }
  state.at("router.hidden.weight")[0][0] = 1;
  state.at("router.hidden.weight")[1][0] = -1;
  state.at("router.norm.weight").fill_(1);
  state.at("router.gate.weight")[0][0] = 1;  // gelu(v) - gelu(-v) = v
  state.at("router.gate.weight")[1][1] = 1;
  return layer;
}

/// Two images, positive in channel 0 in the left half of the first and the upper half of the second.
at::Tensor halves() {
  auto x = test::randn({2, 8, 6, 10}, 42);
  x.select(1, 0).fill_(-2);
  x[0][0].narrow(1, 0, 5).fill_(2);
  x[1][0].narrow(0, 0, 3).fill_(2);
  return x;
}

TEST(SpatialRouting, HalvesOfAnImageGetTheirOwnExperts) {
  for (const auto norm : {nn::NormKind::batch, nn::NormKind::layer}) {
    auto layer = sign_layer(norm);
    const auto x = halves();
    const auto first = layer->pool()[0]->forward(x), second = layer->pool()[1]->forward(x);
    ASSERT_GT(test::deviation(first, second), 0.1);
    for (const auto strategy : kStrategies) {
      SCOPED_TRACE(fmt::format("{} {}", core::name_of(norm), core::name_of(strategy)));
      layer->set_dispatch(strategy);
      const auto [y, routing] = layer->forward(x);
      EXPECT_TRUE(routing.indices.select(1, 0).equal((x.select(1, 0) < 0).to(at::kLong)));
      EXPECT_TRUE(test::is_near(y[0].narrow(2, 0, 5), first[0].narrow(2, 0, 5), 1e-12));
      EXPECT_TRUE(test::is_near(y[0].narrow(2, 5, 5), second[0].narrow(2, 5, 5), 1e-12));
      EXPECT_TRUE(test::is_near(y[1].narrow(1, 0, 3), first[1].narrow(1, 0, 3), 1e-12));
      EXPECT_TRUE(test::is_near(y[1].narrow(1, 3, 3), second[1].narrow(1, 3, 3), 1e-12));
    }
  }
}

TEST(SpatialRouting, PositionsMixByTheirOwnWeights) {
  auto layer = make_layer(8, {.top_k = 3, .routing = RoutingKind::spatial}, 43);
  layer->eval();
  const auto x = spread_images({2, 8, 3, 4}, 44);
  std::vector<at::Tensor> results;
  for (const auto& expert : layer->pool()) results.push_back(expert->forward(x));
  for (const auto strategy : kStrategies) {
    SCOPED_TRACE(core::name_of(strategy));
    layer->set_dispatch(strategy);
    const auto [y, routing] = layer->forward(x);
    for (int64_t i = 0; i < 2 * 3 * 4; ++i) {
      const auto at = [b = i / 12, h = i / 4 % 3, w = i % 4](const at::Tensor& t) {
        return t[b].select(1, h).select(1, w);
      };
      auto sum = at::zeros({8}, at::kDouble);
      for (int64_t k = 0; k < 3; ++k) {
        const auto expert = at(routing.indices)[k].item<int64_t>();
        sum += at(routing.weights)[k] * at(results[static_cast<std::size_t>(expert)]);
      }
      EXPECT_TRUE(test::is_near(at(y), sum, 1e-12)) << i;
    }
  }
}

// In training an expert's statistics come from the images that chose it somewhere, and from all their positions.
TEST(SpatialRouting, StatisticsAreOfTheWholeMapsOfItsImages) {
  auto layer = make_layer(8, {.experts = {"edge", "hybrid"}, .top_k = 1}, 45);
  const auto x = spread_images({3, 8, 4, 5}, 46);
  auto indices = at::zeros({3, 1, 4, 5}, at::kLong);
  indices[0][0][1][2] = 1;  // one position of the first image
  indices[2].fill_(1);      // all of the third
  const Routing routing{.logits = {},
                        .probs = at::full({3, 2, 4, 5}, 0.5, at::kDouble),
                        .indices = indices,
                        .weights = at::ones({3, 1, 4, 5}, at::kDouble)};
  core::TensorMap before;
  for (const auto& [name, tensor] : nn::state_dict(*layer)) before[name] = tensor.clone();
  const auto second = layer->pool()[1]->forward(at::stack({x[0], x[2]}));
  const auto expected_buffers = test::buffers(*layer->pool()[1]);
  for (const auto strategy : {Dispatch::batched, Dispatch::dense}) {
    SCOPED_TRACE(core::name_of(strategy));
    nn::load_state(*layer, before);
    const auto y = dispatch(strategy, x, routing, layer->pool());
    EXPECT_TRUE(test::is_near(y[0].select(1, 1).select(1, 2), second[0].select(1, 1).select(1, 2), 1e-12));
    EXPECT_TRUE(test::is_near(y[2], second[1], 1e-12));
    EXPECT_TRUE(test::are_near(test::buffers(*layer->pool()[1]), expected_buffers, 1e-12));
  }
}

TEST(SpatialRouting, RefusesRoutesOfOtherPositions) {
  auto layer = make_layer(8, {.routing = RoutingKind::spatial}, 47);
  const auto routing = layer->router()->forward(spread_images({2, 8, 4, 5}, 48));
  EXPECT_THROW(dispatch(Dispatch::batched, spread_images({2, 8, 5, 4}, 48), routing, layer->pool()), c10::Error);
}

}  // namespace
}  // namespace codmoe::moe
