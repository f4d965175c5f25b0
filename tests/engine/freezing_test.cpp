#include "codmoe/engine/freezing.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <set>

#include "codmoe/engine/checkpoint.h"
#include "codmoe/engine/trainer.h"
#include "codmoe/nn/weights.h"
#include "small_run.h"
#include "support/temporary_folder.h"

namespace codmoe::engine {
namespace {

namespace fs = std::filesystem;

TEST(Freezing, ThawsFromTheDeepest) {
  const auto frozen = [](int64_t freeze_epochs, int64_t unfreeze_every) {
    std::vector<std::size_t> stages;
    for (int64_t epoch = 0; epoch < 9; ++epoch) {
      stages.push_back(frozen_stages({.freeze_epochs = freeze_epochs, .unfreeze_every = unfreeze_every}, epoch));
    }
    return stages;
  };
  using Stages = std::vector<std::size_t>;
  EXPECT_EQ(frozen(0, 0), (Stages{0, 0, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(frozen(3, 0), (Stages{4, 4, 4, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(frozen(1, 2), (Stages{4, 3, 3, 2, 2, 1, 1, 0, 0}));
  EXPECT_EQ(frozen(0, 1), (Stages{3, 2, 1, 0, 0, 0, 0, 0, 0}));
}

TEST(Freezing, GroupsHoldEveryParameterOnce) {
  const auto options = testing::small_options("").model;
  model::Detector model(options);
  std::set<std::string> names;
  std::size_t count = 0;
  const auto groups = parameter_groups(*model, {.name = "tiny", .lr_scale = 0.25});
  for (const auto& group : groups) {
    EXPECT_FALSE(group.parameters.empty()) << group.name;
    EXPECT_EQ(group.lr_scale, group.name == "model" ? 1.0 : 0.25);
    for (const auto& [name, parameter] : group.parameters) {
      EXPECT_EQ(name.starts_with("backbone."), group.name != "model") << name;
      names.insert(name);
      ++count;
    }
  }
  EXPECT_EQ(groups.size(), 5U);
  EXPECT_EQ(count, names.size());
  EXPECT_EQ(count, model->parameters().size());
}

struct Run {
  core::TensorMap model, optimizer;
};

Run train(const TrainOptions& options, const fs::path& folder) {
  Trainer(options, folder, c10::kCPU).run();
  const auto step = find_checkpoint(folder, /*prefer_best=*/false);
  return {core::load_safetensors(step / "model.safetensors").tensors,
          core::load_safetensors(step / "optimizer.safetensors").tensors};
}

TEST(Freezing, AFrozenBackboneKeepsEveryBit) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));
  options.data.val.dir = options.data.train.dir;  // validation switches modes between the epochs
  options.model.backbone.freeze_epochs = options.schedule.epochs = 2;
  Trainer trainer(options, folder / "run", c10::kCPU);
  core::TensorMap before;
  for (const auto& [name, tensor] : nn::state_dict(*trainer.model())) before[name] = tensor.clone();
  trainer.run();
  for (const auto& [name, tensor] : nn::state_dict(*trainer.model())) {
    const bool learns = !name.starts_with("backbone.");
    if (learns && !name.starts_with("decoder.")) continue;  // an expert that was never chosen keeps its statistics
    EXPECT_EQ(tensor.equal(before.at(name)), !learns) << name;
  }
}

TEST(Freezing, EachStageCountsItsOwnSteps) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));  // 3 epochs of 4 steps
  options.model.backbone.freeze_epochs = options.model.backbone.unfreeze_every = 1;
  const auto optimizer = train(options, folder / "run").optimizer;
  const auto steps = [&](const std::string& group) { return optimizer.at("step." + group).item<double>(); };
  EXPECT_EQ(steps("model"), 12);
  EXPECT_EQ(steps("backbone.3"), 8);
  EXPECT_EQ(steps("backbone.2"), 4);
  EXPECT_EQ(steps("backbone.1"), 0);
  EXPECT_EQ(steps("backbone.0"), 0);
  EXPECT_EQ(optimizer.at("exp_avg_sq.backbone.stem.0.weight").abs().max().item<double>(), 0.0);
}

TEST(Freezing, FrozenNormsKeepEveryBit) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));
  options.schedule = {.epochs = 1, .warmup_epochs = 0.5};
  options.model.backbone.frozen_norm = true;
  const auto model = train(options, folder / "run").model;
  EXPECT_TRUE(model.at("backbone.stem.1.running_mean").equal(at::zeros({16})));
  EXPECT_TRUE(model.at("backbone.stem.1.weight").equal(at::ones({16})));
  EXPECT_EQ(model.at("backbone.stem.1.num_batches_tracked").item<int64_t>(), 0);
}

/// Under autocast, whose state the recomputation restores.
TEST(Recomputation, ChangesNoBitOfARun) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));
  options.schedule = {.epochs = 1, .warmup_epochs = 0.5};
  options.engine.precision = Precision::bfloat16;
  const auto plain = train(options, folder / "plain");
  options.model.backbone.checkpoint = {4, 8, 16, 32};
  const auto checkpointed = train(options, folder / "checkpointed");
  for (const auto& [name, tensor] : plain.model) EXPECT_TRUE(checkpointed.model.at(name).equal(tensor)) << name;
  for (const auto& [name, tensor] : plain.optimizer) EXPECT_TRUE(checkpointed.optimizer.at(name).equal(tensor)) << name;
}

}  // namespace
}  // namespace codmoe::engine
