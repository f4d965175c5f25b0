#include "codmoe/moe/sparse_codmoe.h"

#include <gtest/gtest.h>

#include "codmoe/core/options_json.h"
#include "moe/layer_run.h"

namespace codmoe::moe {
namespace {

std::string refusal(const core::Json& tree) {
  MoeOptions options;
  try {
    core::read_options(tree, {}, options);
  } catch (const core::UsageError& error) {
    return error.what();
  }
  return "it was accepted";
}

void expect_has(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(MoeOptions, RefusesWhatIsNoPool) {
  const auto unknown = refusal({{"experts", {"edge", "egde"}}});
  expect_has(unknown, "experts.1 is 'egde'");
  expect_has(unknown, "texture, frequency, edge, contrast, attention, hybrid");
  expect_has(refusal({{"experts", core::Json::array()}}), "experts must name at least one expert");
  expect_has(refusal({{"top_k", 7}}), "top_k must be in [1, 6]");
  expect_has(refusal({{"top_k", 0}}), "top_k must be at least 1");
  expect_has(refusal({{"dispatch", "fast"}}), "auto, sequential, batched, dense");
  expect_has(refusal({{"routing", "patch"}}), "global, spatial");
  expect_has(refusal({{"balance", {{"end", 3}}}}), "balance.end must be after start (30)");
  EXPECT_EQ(refusal({{"experts", {"edge", "edge"}}, {"top_k", 2}, {"norm", "layer"}}), "it was accepted");
}

TEST(SparseCODMoE, RefusesTheSameWhenBuilt) {
  EXPECT_THROW(SparseCODMoE(8, MoeOptions{.experts = {"egde"}, .top_k = 1}), core::UsageError);
  EXPECT_THROW(SparseCODMoE(8, MoeOptions{.top_k = 7}), core::UsageError);
  EXPECT_THROW(SparseCODMoE(8, MoeOptions{.top_k = 0}), core::UsageError);
  EXPECT_THROW(SparseCODMoE(3, MoeOptions{}), core::UsageError);
}

TEST(SparseCODMoE, TakesAnyListOfExperts) {
  auto layer = make_layer(8, {.experts = {"edge", "hybrid", "edge"}, .top_k = 2}, 1);
  EXPECT_EQ(layer->pool().size(), 3U);
  // Two experts of a name have weights of their own.
  const auto state = nn::state_dict(*layer);
  EXPECT_FALSE(state.at("experts.0.fusion.conv.weight").equal(state.at("experts.2.fusion.conv.weight")));
  const auto x = spread_images({7, 8, 3, 5}, 2);
  layer->eval();
  expect_same(run_layer(layer, Dispatch::dense, x, x), run_layer(layer, Dispatch::batched, x, x), 1e-10);
}

TEST(SparseCODMoE, AutoTakesDenseWhileItAvoidsWaiting) {
  for (const bool training : {false, true}) {
    auto layer = make_layer(8, {.top_k = 2, .dispatch = Dispatch::automatic, .norm = nn::NormKind::group}, 5);
    layer->train(training);
    const auto x = spread_images({6, 8, 3, 5}, 6);
    const auto batched = layer->forward(x).y_bchw;
    EXPECT_TRUE(layer->waited_for_routes());
    layer->avoid_waiting(true);
    const auto avoiding = layer->forward(x).y_bchw;
    EXPECT_FALSE(layer->waited_for_routes());
    EXPECT_TRUE(test::is_near(avoiding, batched, 1e-12));
    layer->set_dispatch(Dispatch::dense);
    EXPECT_TRUE(avoiding.equal(layer->forward(x).y_bchw));
    layer->set_dispatch(Dispatch::batched);  // what was asked for stays
    layer->forward(x);
    EXPECT_TRUE(layer->waited_for_routes());
    layer->set_dispatch(Dispatch::automatic);
    layer->avoid_waiting(false);
    layer->forward(x);
    EXPECT_TRUE(layer->waited_for_routes());
  }
}

TEST(SparseCODMoE, MixesTheChosenExpertsByTheirWeights) {
  auto layer = make_layer(8, {.top_k = 3}, 3);
  layer->eval();
  const auto x = spread_images({4, 8, 3, 5}, 4);
  const auto [y, routing] = layer->forward(x);
  for (int64_t b = 0; b < 4; ++b) {
    auto sum = at::zeros({1, 8, 3, 5}, at::kDouble);
    for (int64_t k = 0; k < 3; ++k) {
      const auto expert = routing.indices[b][k].item<int64_t>();
      sum += routing.weights[b][k] * layer->pool()[static_cast<std::size_t>(expert)]->forward(x.narrow(0, b, 1));
    }
    EXPECT_TRUE(test::is_near(y.narrow(0, b, 1), sum, 1e-12)) << b;
  }
}

}  // namespace
}  // namespace codmoe::moe
