#include "benchmarks/routes.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <numeric>

namespace codmoe::bench {
namespace {

moe::SparseCODMoE make_layer(std::vector<std::string> experts, int64_t top_k, int64_t dim = 8,
                             moe::RoutingKind routing = moe::RoutingKind::global) {
  moe::MoeOptions options;
  options.routing = routing;
  options.experts = std::move(experts);
  options.top_k = top_k;
  return moe::SparseCODMoE(dim, options);
}

// By hand, at 8 channels (branches of width 2) and 3x3 positions.
// contrast: 8->2 3x3, 8->2 3x3, 8->2 5x5, 8->2 1x1, 8->8 1x1.
constexpr int64_t kContrastWeights = 8 * 2 * 9 + 8 * 2 * 9 + 8 * 2 * 25 + 8 * 2 + 8 * 8;
constexpr int64_t kContrastFlops = 2 * kContrastWeights * 9;
// hybrid: depthwise 5x5 of 8, 8->8 with bias, at one position 8->2 and 2->8 with bias, 8->8 with bias.
constexpr int64_t kHybridWeights = 8 * 25 + (64 + 8) + (16 + 2) + (16 + 8) + (64 + 8);
constexpr int64_t kHybridFlops = 2 * ((8 * 25 + 64 + 64) * 9 + 16 + 16);
constexpr LayerShape kShape{.batch = 4, .channels = 8, .positions = 9, .element_size = 4};

TEST(NeededWork, EqualsACountByHand) {
  const auto layer = make_layer({"contrast", "hybrid"}, 1);
  const auto work = needed_work(layer->pool(), {{9}, {9, 9, 9}}, kShape, Pass::forward);
  ASSERT_TRUE(work.has_value());
  EXPECT_EQ(work->flops, kContrastFlops + 3 * kHybridFlops);
  EXPECT_EQ(work->bytes, 4 * (kContrastWeights + kHybridWeights + 2 * 4 * 8 * 9));
}

TEST(NeededWork, LeavesOutExpertsWithoutImages) {
  const auto layer = make_layer({"contrast", "hybrid"}, 1);
  const auto work = needed_work(layer->pool(), {{9, 9, 9, 9}, {}}, kShape, Pass::forward);
  EXPECT_EQ(work->flops, 4 * kContrastFlops);
  EXPECT_EQ(work->bytes, 4 * (kContrastWeights + 2 * 4 * 8 * 9));
}

TEST(NeededWork, TrainingAddsBothGradients) {
  const auto layer = make_layer({"contrast"}, 1);
  const auto work = needed_work(layer->pool(), {{9, 9, 9, 9}}, kShape, Pass::train);
  EXPECT_EQ(work->flops, 3 * 4 * kContrastFlops);
  // Weights: read twice, their gradient written; images: x read twice, dx written, y written and read.
  EXPECT_EQ(work->bytes, 4 * (3 * kContrastWeights + 5 * 4 * 8 * 9));
}

TEST(NeededWork, IsUnknownWithoutADescription) {
  struct Plain : experts::Expert {
    at::Tensor forward(const at::Tensor& x_bchw, const nn::SampleMask&) override { return x_bchw; }
  };
  const moe::ExpertPool pool{std::make_shared<Plain>()};
  EXPECT_FALSE(needed_work(pool, {{9}}, kShape, Pass::forward).has_value());
  EXPECT_TRUE(needed_work(pool, {{}}, kShape, Pass::forward).has_value());
}

TEST(DrawGates, AreWideRepeatableAndDifferent) {
  auto layer = make_layer({"edge", "edge", "edge", "edge", "edge", "edge"}, 1, 288);
  const auto gates = draw_gates(20, layer, 0), again = draw_gates(20, layer, 0);
  ASSERT_EQ(gates.size(), 20U);
  EXPECT_NEAR(at::stack(gates).std().item<double>(), 3.0, 0.1);
  for (std::size_t i = 0; i < gates.size(); ++i) EXPECT_TRUE(gates[i].equal(again[i]));
  EXPECT_FALSE(gates[0].equal(gates[1]));
  EXPECT_FALSE(gates[0].equal(draw_gates(1, layer, 1)[0]));
}

TEST(RouteStatistics, DrawnGatesReachEveryExpert) {
  auto layer = make_layer({"contrast", "hybrid", "attention"}, 2, 64);
  at::manual_seed(0);
  const auto statistics = route_statistics(layer, at::randn({8, 64, 4, 4}), draw_gates(20, layer, 0), Pass::forward);
  EXPECT_NEAR(std::accumulate(statistics.load.begin(), statistics.load.end(), 0.0), 1.0, 1e-9);
  for (const double share : statistics.load) EXPECT_GT(share, 0.1);
}

TEST(RouteStatistics, AveragesTheWorkOfTheSets) {
  auto layer = make_layer({"contrast", "hybrid"}, 1);
  const auto to_first = at::tensor({1.0F, -1.0F}).view({2, 1}).expand({2, 8}).contiguous();
  const auto statistics = route_statistics(layer, at::ones({4, 8, 3, 3}), {to_first, -to_first}, Pass::forward);
  EXPECT_EQ(statistics.load, (std::vector<double>{0.5, 0.5}));
  EXPECT_EQ(statistics.work->flops, (4 * kContrastFlops + 4 * kHybridFlops) / 2);
}

TEST(RouteStatistics, DrawnGatesSpreadThePositionsOfAnImage) {
  auto layer = make_layer({"contrast", "hybrid", "attention"}, 1, 64, moe::RoutingKind::spatial);
  layer->eval();
  at::manual_seed(0);
  const auto x = at::randn({2, 64, 12, 12});
  const auto statistics = route_statistics(layer, x, draw_gates(20, layer, 0), Pass::forward);
  EXPECT_NEAR(std::accumulate(statistics.load.begin(), statistics.load.end(), 0.0), 1.0, 1e-6);
  for (const double share : statistics.load) EXPECT_GT(share, 0.1);
  EXPECT_LT(layer->router()->forward(x).logits.abs().max().item<double>(), 10.0);  // beyond it there would be ties
}

TEST(RouteCounts, AreOfPositionsWhereNoStatisticNeedsMore) {
  const auto indices = at::tensor({0, 0, 1, 0, 0, 0, 0, 0}, at::kLong).view({2, 1, 2, 2});
  const moe::Routing spatial{{}, at::zeros({2, 3, 2, 2}), indices, {}};
  EXPECT_EQ(route_counts(spatial, 4, /*whole_maps=*/false), (RouteCounts{{3, 4}, {1}, {}}));
  EXPECT_EQ(route_counts(spatial, 4, /*whole_maps=*/true), (RouteCounts{{4, 4}, {4}, {}}));
  const moe::Routing global{{}, at::zeros({2, 3}), at::tensor({0, 2}, at::kLong).view({2, 1}), {}};
  EXPECT_EQ(route_counts(global, 4, /*whole_maps=*/false), (RouteCounts{{4}, {}, {4}}));
}

}  // namespace
}  // namespace codmoe::bench
