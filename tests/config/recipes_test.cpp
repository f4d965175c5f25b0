// configs/recipes of published trainings: their figures as in the authors' code.
#include <gtest/gtest.h>

#include "codmoe/config/yaml.h"
#include "codmoe/engine/options.h"
#include "codmoe/engine/schedule.h"

namespace codmoe::config {
namespace {

engine::TrainOptions recipe(const std::string& name) {
  return load<engine::TrainOptions>(std::filesystem::path(CODMOE_SOURCE_DIR) / "configs/recipes" / (name + ".yaml"),
                                    {});
}

/// Learning rates of decoder and backbone after `epochs` epochs of 10 steps.
std::array<double, 2> rates(const engine::TrainOptions& options, int64_t epochs) {
  const auto factors = engine::Schedule(options.schedule, 10).at(10 * epochs).lr;
  return {options.optimizer.lr * factors[0], options.optimizer.lr * options.model.backbone.lr_scale * factors[1]};
}

TEST(Recipes, SinetV2) {
  const auto options = recipe("sinet_v2");
  EXPECT_EQ(options.optimizer.name, "adamw");
  EXPECT_EQ(options.optimizer.weight_decay, 0.0);
  EXPECT_EQ(options.optimizer.clip_value, 0.5);
  EXPECT_EQ(options.data.loader.batch_size, 36);
  EXPECT_EQ(options.data.loader.size, 352);
  EXPECT_EQ(options.loss.structure.bce, loss::BceWeighting::legacy);
  // Its epochs count from 1: the 50th is the first of the lower rate.
  EXPECT_DOUBLE_EQ(rates(options, 48)[0], 1e-4);
  EXPECT_DOUBLE_EQ(rates(options, 49)[1], 1e-5);
}

TEST(Recipes, PFNet) {
  const auto options = recipe("pfnet");
  EXPECT_EQ(options.optimizer.name, "sgd");
  EXPECT_EQ(options.optimizer.sgd.momentum, 0.9);
  EXPECT_EQ(options.optimizer.weight_decay, 5e-4);
  EXPECT_EQ(options.data.loader.batch_size, 16);
  EXPECT_EQ(options.data.loader.size, 416);
  EXPECT_EQ(options.schedule.epochs, 45);
  EXPECT_EQ(options.loss.structure.level_weights, (std::vector<double>{4, 2, 1, 1}));
  EXPECT_DOUBLE_EQ(rates(options, 0)[0], 1e-3);
  EXPECT_DOUBLE_EQ(rates(options, 30)[1], 1e-3 * std::pow(1.0 / 3.0, 0.9));
}

TEST(Recipes, ZoomNeXt) {
  const auto options = recipe("zoomnext");
  EXPECT_EQ(options.data.loader.batch_size, 4);
  EXPECT_EQ(options.data.loader.size, 384);
  EXPECT_EQ(options.schedule.epochs, 150);
  EXPECT_DOUBLE_EQ(loss::uncertainty_coefficient(options.loss.uncertainty, 0.5), 0.5);
  EXPECT_DOUBLE_EQ(loss::uncertainty_coefficient(options.loss.uncertainty, 1.0), 1.0);
  EXPECT_DOUBLE_EQ(rates(options, 99)[0], 1e-4);
  EXPECT_DOUBLE_EQ(rates(options, 99)[1], 1e-5);
  EXPECT_DOUBLE_EQ(rates(options, 100)[1], 1e-6);
}

}  // namespace
}  // namespace codmoe::config
