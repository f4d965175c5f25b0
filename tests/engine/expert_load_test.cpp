#include "codmoe/engine/expert_load.h"

#include <ATen/ATen.h>

#include "codmoe/data/image_file.h"
#include "codmoe/engine/predictor.h"
#include "codmoe/engine/run_log.h"
#include "small_run.h"

namespace codmoe::engine {
namespace {

const report::ExpertLayer kLayer{"moe.1", {"edge", "texture", "edge.2"}};

moe::LoadReport report_of(std::vector<double> load) {
  return {
      .decisions = 8, .load = std::move(load), .probability = {0.5, 0.25, 0.25}, .entropy = 1.0, .cv = 0.7, .dead = 1};
}

TEST(ExpertLoad, WarnsOfExpertsBelowOnePercent) {
  EXPECT_TRUE(rare_experts(report_of({0.98, 0.01, 0.01}), kLayer).empty());
  const auto report = report_of({0.9926, 0.0074, 0.0});
  EXPECT_EQ(rare_experts(report, kLayer), (std::vector<std::string>{"texture", "edge.2"}));
  const auto warning = rare_expert_warning(report, kLayer, 3, moe::BalanceMethod::loss);
  EXPECT_TRUE(warning.starts_with("moe.1: in epoch 3 less than 1 % of the load went to each of: texture, edge.2; "))
      << warning;
  for (const auto* key : {"moe.balance.method: bias", "moe.balance.min", "moe.router.noise", "moe.experts"}) {
    EXPECT_NE(warning.find(key), std::string::npos) << key;
  }
  const auto with_bias = rare_expert_warning(report, kLayer, 3, moe::BalanceMethod::bias);
  EXPECT_NE(with_bias.find("; a larger moe.balance.rate or some"), std::string::npos) << with_bias;
  EXPECT_EQ(with_bias.find("moe.balance.method"), std::string::npos) << with_bias;
}

TEST(ExpertLoad, NamesItsNumbers) {
  const auto json = load_json(report_of({0.5, 0.5, 0.0}), kLayer);
  EXPECT_EQ(json["load"]["texture"], 0.5);
  EXPECT_EQ(json["load"]["edge.2"], 0.0);
  EXPECT_EQ(json["probability"]["edge"], 0.5);
  EXPECT_EQ(json["cv"], 0.7);
  EXPECT_EQ(json["dead"], 1);
}

TEST(RunLog, ScalarsAreThePathsOfNumbers) {
  const core::Json line = {{"step", 7},
                           {"epoch", 2},
                           {"loss", 0.5},
                           {"note", "text"},
                           {"val", {{"IoU", 0.25}}},
                           {"moe", {{"0", load_json(report_of({0.5, 0.5, 0.0}), kLayer)}}}};
  std::vector<std::string> tags;
  for (const auto& scalar : scalars(line)) tags.push_back(scalar.tag);
  EXPECT_EQ(tags, (std::vector<std::string>{"train/loss", "val/IoU", "moe/0/load/edge", "moe/0/load/texture",
                                            "moe/0/load/edge.2", "moe/0/probability/edge", "moe/0/probability/texture",
                                            "moe/0/probability/edge.2", "moe/0/entropy", "moe/0/cv", "moe/0/dead",
                                            "moe/0/decisions"}));
  EXPECT_EQ(scalars(line)[1].value, 0.25);
  const auto network = scalars({{"step", 7}, {"epoch", 2}, {"val", {{"IoU", 0.25}}}, {"val_resolution", "network"}});
  ASSERT_EQ(network.size(), 1U);
  EXPECT_EQ(network[0].tag, "val_network/IoU");
}

TEST(Predictor, SaysWhatEachImageUsed) {
  at::manual_seed(1);
  const auto options = testing::small_options("unused");
  auto model_options = options.model;
  model_options.moe_strides = {8, 16};
  Predictor predictor(model::Detector(model_options), c10::kCPU, 64, options.engine);
  EXPECT_EQ(predictor.layers().size(), 2U);
  EXPECT_EQ(predictor.layers()[1].name, "moe.1");
  EXPECT_EQ(predictor.layers()[0].experts, model_options.moe.experts);
  std::vector<PredictorInput> images;
  for (int i = 0; i < 5; ++i) images.push_back(predictor.prepare(at::randint(256, {40, 50, 3}, at::kByte)));
  const auto uses = predictor.predict(images).expert_use();
  ASSERT_EQ(uses.size(), 5U);
  for (const auto& image : uses) {
    ASSERT_EQ(image.size(), 2U);
    for (const auto& use : image) {
      EXPECT_EQ(std::ranges::count(use.share, 1.0), model_options.moe.top_k);
      EXPECT_NEAR(at::tensor(use.weight, at::kDouble).sum().item<double>(), 1.0, 1e-6);
      for (std::size_t e = 0; e < use.share.size(); ++e) EXPECT_EQ(use.weight[e] > 0, use.share[e] > 0);
    }
  }
}

TEST(Predictor, WithoutMoeLayersNothingWasUsed) {
  auto options = testing::small_options("unused");
  options.model.moe_strides = {};
  Predictor predictor(model::Detector(options.model), c10::kCPU, 64, options.engine);
  EXPECT_TRUE(predictor.predict({predictor.prepare(at::zeros({40, 50, 3}, at::kByte))}).expert_use().empty());
  EXPECT_TRUE(predictor.layers().empty());
}

}  // namespace
}  // namespace codmoe::engine
