// Dispatches are the same mathematics: corner cases by name; dispatch_property_test.cpp draws others at random.
#include "codmoe/moe/dispatch.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "moe/layer_run.h"

namespace codmoe::moe {
namespace {

constexpr double kTolerance = 1e-10;

struct Shape {
  int64_t batch, dim, height, width, top_k;
};

std::ostream& operator<<(std::ostream& stream, const Shape& s) {
  return stream << "[" << s.batch << ", " << s.dim << ", " << s.height << ", " << s.width << "], k " << s.top_k;
}

constexpr Shape kShapes[] = {{1, 8, 5, 5, 2},  {1, 8, 1, 1, 1}, {2, 6, 1, 1, 2},  {9, 10, 1, 7, 3},
                             {5, 7, 11, 1, 2}, {4, 4, 2, 3, 6}, {7, 16, 4, 6, 1}, {6, 13, 9, 10, 5}};

class Dispatches : public testing::TestWithParam<std::tuple<RoutingKind, nn::NormKind, bool>> {
 protected:
  static RoutingKind routing() { return std::get<0>(GetParam()); }
  static nn::NormKind norm() { return std::get<1>(GetParam()); }
  static bool training() { return std::get<2>(GetParam()); }

  static SparseCODMoE make(const Shape& shape, uint64_t seed) {
    auto layer = make_layer(shape.dim, {.top_k = shape.top_k, .routing = routing(), .norm = norm()}, seed);
    layer->train(training());
    return layer;
  }

  /// Compares all dispatches and returns one of the runs. `sequential` shows an expert one sample at a time, which
  /// changes the statistics of a batch norm in training.
  static LayerRun expect_agreement(SparseCODMoE& layer, const at::Tensor& x) {
    const auto upstream = test::randn(x.sizes(), 77);
    const auto batched = run_layer(layer, Dispatch::batched, x, upstream);
    expect_same(run_layer(layer, Dispatch::dense, x, upstream), batched, kTolerance);
    expect_same(run_layer(layer, Dispatch::automatic, x, upstream), batched, kTolerance);
    if (!training() || norm() != nn::NormKind::batch) {
      expect_same(run_layer(layer, Dispatch::sequential, x, upstream), batched, kTolerance);
    }
    return batched;
  }
};

TEST_P(Dispatches, AgreeForOddShapes) {
  uint64_t seed = 0;
  for (const auto& shape : kShapes) {
    SCOPED_TRACE(testing::PrintToString(shape));
    auto layer = make(shape, ++seed);
    expect_agreement(layer, spread_images({shape.batch, shape.dim, shape.height, shape.width}, 100 + seed));
  }
}

TEST_P(Dispatches, AgreeWithoutSamplesForSomeExperts) {
  auto layer = make({5, 9, 4, 3, 2}, 4);
  force_routes(layer, {0, 3, 0, 0, 2, 0});
  const auto before = test::buffers(*layer);
  const auto run = expect_agreement(layer, spread_images({5, 9, 4, 3}, 6));
  const auto chosen = at::tensor({1, 4}, at::kLong).view({1, 2, 1, 1}).expand({5, 2, 4, 3});
  EXPECT_TRUE(run.routing.indices.equal(run.routing.spatial() ? chosen : chosen.select(3, 0).select(2, 0)));
  for (const char* unused : {"experts.0.", "experts.2.", "experts.3.", "experts.5."}) {
    for (const auto& [name, gradient] : test::with_prefix(run.gradients, unused)) {
      EXPECT_EQ(gradient.count_nonzero().item<int64_t>(), 0) << unused << name;
    }
  }
}

TEST_P(Dispatches, AgreeWithAllSamplesOnOneExpert) {
  for (std::size_t expert = 0; expert < 6; ++expert) {
    SCOPED_TRACE(expert);
    auto layer = make({4, 9, 5, 4, 1}, 5);
    std::vector<double> bias(6, 0.0);
    bias[expert] = 4;
    force_routes(layer, bias);
    const auto x = spread_images({4, 9, 5, 4}, 8);
    const auto run = expect_agreement(layer, x);
    // One expert, weight 1: the layer is that expert.
    EXPECT_TRUE(test::is_near(run.y, layer->pool()[expert]->forward(x), kTolerance));
  }
}

std::string case_name(const testing::TestParamInfo<Dispatches::ParamType>& which) {
  const auto& [routing, norm, training] = which.param;
  return fmt::format("{}_{}_{}", core::name_of(routing), core::name_of(norm), training ? "training" : "evaluation");
}

INSTANTIATE_TEST_SUITE_P(All, Dispatches,
                         testing::Combine(testing::Values(RoutingKind::global, RoutingKind::spatial),
                                          testing::ValuesIn(kNorms), testing::Bool()),
                         case_name);

class BatchNormDispatch : public testing::TestWithParam<Dispatch> {};

/// The buffers of one expert after a training step, beside those before.
std::pair<core::TensorMap, core::TensorMap> buffers_of(SparseCODMoE& layer, Dispatch strategy, const char* prefix,
                                                       at::IntArrayRef shape) {
  const auto before = test::with_prefix(test::buffers(*layer), prefix);
  const auto x = spread_images(shape, 9);
  const auto run = run_layer(layer, strategy, x, x);
  return {before, test::with_prefix(run.buffers, prefix)};
}

TEST_P(BatchNormDispatch, ExpertsWithoutSamplesKeepTheirStatistics) {
  auto layer = make_layer(8, {}, 6);
  force_routes(layer, {0, 0, 5, 5, 0, 0});
  for (const char* unused : {"experts.0.", "experts.1.", "experts.4.", "experts.5."}) {
    const auto [before, after] = buffers_of(layer, GetParam(), unused, {3, 8, 2, 2});
    ASSERT_FALSE(before.empty());
    EXPECT_TRUE(test::are_equal(after, before)) << unused;
  }
  const auto [before, after] = buffers_of(layer, GetParam(), "experts.2.", {3, 8, 2, 2});
  EXPECT_FALSE(test::are_equal(after, before));
}

TEST_P(BatchNormDispatch, OneValueAChannelKeepsTheStatistics) {
  auto layer = make_layer(8, {.top_k = 1}, 7);
  force_routes(layer, {0, 0, 0, 5, 0, 0});
  const auto [before, after] = buffers_of(layer, GetParam(), "experts.3.", {1, 8, 1, 1});
  EXPECT_TRUE(test::are_equal(after, before));
  // Every norm gives its bias, so f(x) = gelu(bias of the last one).
  const auto x = spread_images({1, 8, 1, 1}, 9);
  const auto bias = layer->named_parameters()["experts.3.fusion.norm.bias"].view({1, 8, 1, 1});
  EXPECT_TRUE(test::is_near(layer->forward(x).y_bchw, x + at::gelu(bias), kTolerance));
}

INSTANTIATE_TEST_SUITE_P(All, BatchNormDispatch, testing::Values(Dispatch::batched, Dispatch::dense),
                         [](const auto& which) { return std::string(core::name_of(which.param)); });

// What `sequential` is there to show: a batch norm that sees one sample at a time is another function.
TEST(SequentialDispatch, DiffersInTrainingWithBatchNorm) {
  auto layer = make_layer(8, {}, 8);
  const auto x = spread_images({6, 8, 4, 4}, 10);
  const auto batched = run_layer(layer, Dispatch::batched, x, x);
  EXPECT_GT(test::deviation(run_layer(layer, Dispatch::sequential, x, x).y, batched.y), 1e-2);
}

TEST(Dispatch, RefusesRoutesOfOtherShapes) {
  auto layer = make_layer(8, {}, 9);
  const auto x = spread_images({3, 8, 2, 2}, 11);
  const auto routing = layer->router()->forward(x);
  EXPECT_THROW(dispatch(Dispatch::batched, x.narrow(0, 0, 2), routing, layer->pool()), c10::Error);
  EXPECT_THROW(dispatch(Dispatch::batched, x[0], routing, layer->pool()), c10::Error);
  EXPECT_THROW(dispatch(Dispatch::dense, x, routing, {layer->pool()[0]}), c10::Error);
}

}  // namespace
}  // namespace codmoe::moe
