// The whole layer and the balance loss against an independent Python implementation: see make_moe_vectors.py.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "codmoe/moe/balance.h"
#include "moe/layer_run.h"

namespace codmoe::moe {
namespace {

constexpr double kTolerance = 1e-9;

core::TensorMap load(const char* name) {
  return core::load_safetensors(std::string(CODMOE_SOURCE_DIR "/tests/moe/data/") + name).tensors;
}

struct Mode {
  const char* name;
  RoutingKind routing;
  nn::NormKind norm;
  bool training;
  double temperature;
  std::vector<Dispatch> strategies;
};

void expect_layer(const core::TensorMap& file, const Mode& mode, Dispatch strategy) {
  auto parameters = test::with_prefix(file, "param.");
  if (mode.norm != nn::NormKind::batch) {
    std::erase_if(parameters, [](const auto& item) { return item.first.find("running_") != std::string::npos; });
  }
  const auto x = file.at("input").to(at::kDouble);
  SparseCODMoE layer(
      x.size(1), MoeOptions{.routing = mode.routing, .norm = mode.norm, .router = {.temperature = mode.temperature}});
  layer->to(at::kDouble);
  layer->train(mode.training);
  nn::load_state(*layer, parameters);  // refuses any name that is missing or too much
  auto run = run_layer(layer, strategy, x, file.at("upstream").to(at::kDouble));

  const auto expected = test::with_prefix(file, std::string(mode.name) + ".");
  EXPECT_TRUE(run.routing.indices.equal(expected.at("indices")));
  EXPECT_TRUE(test::is_near(run.routing.logits, expected.at("logits"), kTolerance));
  EXPECT_TRUE(test::is_near(run.routing.probs, expected.at("probs"), kTolerance));
  EXPECT_TRUE(test::is_near(run.routing.weights, expected.at("weights"), kTolerance));
  EXPECT_TRUE(test::is_near(run.y, expected.at("output"), kTolerance));
  EXPECT_TRUE(test::is_near(run.gradients.extract("input").mapped(), expected.at("grad_input"), kTolerance));
  EXPECT_TRUE(test::are_near_flat(run.gradients, expected.at("grad"), kTolerance));
  if (mode.norm == nn::NormKind::batch && mode.training) {
    std::erase_if(run.buffers, [](const auto& item) { return item.first.ends_with("num_batches_tracked"); });
    EXPECT_TRUE(test::are_near_flat(run.buffers, expected.at("after"), kTolerance));
  }
}

const std::vector<Dispatch> kAll = {Dispatch::sequential, Dispatch::batched, Dispatch::dense};

void expect_layers(const char* name, const std::vector<Mode>& modes) {
  const auto file = load(name);
  for (const auto& mode : modes) {
    for (const auto strategy : mode.strategies) {
      SCOPED_TRACE(fmt::format("{} {}", mode.name, core::name_of(strategy)));
      expect_layer(file, mode, strategy);
    }
  }
}

TEST(LayerVectors, ForwardAndBackwardAgree) {
  constexpr auto kGlobal = RoutingKind::global;
  expect_layers("layer.safetensors",
                {{"batch_eval", kGlobal, nn::NormKind::batch, false, 1.0, kAll},
                 {"batch_train", kGlobal, nn::NormKind::batch, true, 1.0, {Dispatch::batched, Dispatch::dense}},
                 {"group", kGlobal, nn::NormKind::group, true, 1.75, kAll}});
}

TEST(LayerVectors, SpatialForwardAndBackwardAgree) {
  constexpr auto kSpatial = RoutingKind::spatial;
  expect_layers("spatial_layer.safetensors",
                {{"batch_eval", kSpatial, nn::NormKind::batch, false, 1.0, kAll},
                 {"batch_train", kSpatial, nn::NormKind::batch, true, 1.75, {Dispatch::batched, Dispatch::dense}},
                 {"layer", kSpatial, nn::NormKind::layer, true, 1.0, kAll}});
}

struct Term {
  const char* name;
  double coefficient, entropy, z;
};

class BalanceVectors : public testing::TestWithParam<const char*> {};

TEST_P(BalanceVectors, ValuesAndGradientsAgree) {
  const auto file = load(GetParam());
  for (const auto& term :
       {Term{"imbalance", 1, 0, 0}, Term{"entropy", 0, 1, 0}, Term{"z", 0, 0, 1}, Term{"all", 0.5, 0.25, 0.125}}) {
    SCOPED_TRACE(term.name);
    const auto logits = file.at("logits").clone().requires_grad_();
    const auto probs = file.at("probs").clone().requires_grad_();
    const BalanceOptions options{
        .min = term.coefficient, .max = term.coefficient, .entropy = term.entropy, .z = term.z};
    const auto value = balance_loss({logits, probs, file.at("indices"), at::Tensor()}, options, 50);
    value.backward();

    const auto expected = test::with_prefix(file, std::string(term.name) + ".");
    const auto gradient = [](const at::Tensor& leaf) {
      return leaf.grad().defined() ? leaf.grad() : at::zeros_like(leaf);
    };
    EXPECT_TRUE(test::is_near(value, expected.at("value"), kTolerance));
    EXPECT_TRUE(test::is_near(gradient(logits), expected.at("grad_logits"), kTolerance));
    EXPECT_TRUE(test::is_near(gradient(probs), expected.at("grad_probs"), kTolerance));
  }
}

INSTANTIATE_TEST_SUITE_P(All, BalanceVectors, testing::Values("balance.safetensors", "spatial_balance.safetensors"));

}  // namespace
}  // namespace codmoe::moe
