// Steps whose loss or gradient is not finite.
#include "codmoe/engine/skips.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "codmoe/core/seed.h"
#include "codmoe/engine/trainer.h"
#include "codmoe/nn/weights.h"
#include "small_run.h"
#include "support/temporary_folder.h"
#include "support/tensors.h"

namespace codmoe::engine {
namespace {

data::Batch small_batch(uint64_t seed) {
  const auto images = (128 + 50 * test::randn({2, 3, 32, 32}, seed)).clamp(0, 255).to(at::kByte);
  return {.images = images, .masks = (images.narrow(1, 0, 1) > 128).to(at::kByte) * 255, .names = {"a 1", "b"}};
}

core::TensorMap state_of(TrainStep& step, const torch::nn::Module& model) {
  core::TensorMap state;
  for (const auto& [name, tensor] : nn::state_dict(model)) {
    if (tensor.is_floating_point()) state["model." + name] = tensor.clone();
  }
  for (const auto& [name, tensor] : step.average()->state()) {
    if (tensor.is_floating_point()) state["ema." + name] = tensor.clone();
  }
  for (const auto& [name, tensor] : step.optimizer().state()) state["optimizer." + name] = tensor.clone();
  return state;
}

/// A coefficient beyond float32 makes the loss infinite.
TEST(Skips, NothingChangesInAStepThatIsLeftOut) {
  auto options = testing::small_options("");
  options.engine.ema.decay = 0.5;
  options.model.moe.balance = {.method = moe::BalanceMethod::bias, .rate = 0.01};
  options.loss.edge = 1e39;
  core::seed_all(3);
  model::Detector model(options.model);
  model->train();
  TrainStep step(model, options, c10::kCPU);
  options.loss.edge = 0;
  TrainStep good(model, options, c10::kCPU);
  good.run({small_batch(1)}, {});
  auto before = state_of(step, *model);
  step.run({small_batch(2)}, {});  // its loss overflows
  before["optimizer.skipped"] = before["optimizer.skipped_in_row"] = at::ones({});
  EXPECT_TRUE(test::are_equal(state_of(step, *model), before));
}

TEST(Skips, AreFollowedByStepsAsIfTheyHadNotBeen) {
  auto options = testing::small_options("");
  options.model.moe.router.noise = 0;
  const auto train = [&](bool with_skip) {
    core::seed_all(3);
    model::Detector model(options.model);
    model->train();
    TrainStep step(model, options, c10::kCPU);
    step.run({small_batch(1)}, {});
    if (with_skip) {
      const auto bias = model->named_parameters()["decoder.head.0.bias"].detach();  // no statistics depend on it
      const auto kept = bias.clone();
      bias.fill_(INFINITY);
      step.run({small_batch(2)}, {});
      EXPECT_EQ(step.optimizer().skipped().item<float>(), 1.0F);
      bias.copy_(kept);
    }
    step.run({small_batch(3)}, {});
    core::TensorMap state;
    for (const auto& [name, tensor] : nn::state_dict(*model)) {
      if (tensor.is_floating_point()) state[name] = tensor.clone();
    }
    return state;
  };
  EXPECT_TRUE(test::are_equal(train(true), train(false)));
}

TEST(Skips, DoNotSpoilTheLoadsOfTheOtherSteps) {
  const auto options = testing::small_options("");
  core::seed_all(3);
  model::Detector model(options.model);
  model->train();
  TrainStep step(model, options, c10::kCPU);
  step.run({small_batch(1)}, {});
  const auto before = step.meters()[0].read();
  model->named_parameters()["moe.0.router.gate.bias"].detach().fill_(NAN);
  step.run({small_batch(2)}, {});
  EXPECT_EQ(step.optimizer().skipped().item<float>(), 1.0F);
  const auto after = step.meters()[0].read();
  EXPECT_EQ(after.decisions, 2);
  EXPECT_EQ(after.load, before.load);
  EXPECT_EQ(after.probability, before.probability);
  EXPECT_EQ(after.entropy, before.entropy);
}

TEST(Skips, ManyInARowEndTheRunAndNameTheImages) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));  // 4 steps an epoch of 2 images
  options.schedule = {.epochs = 3, .warmup_epochs = 0};
  options.engine.max_skips = 3;
  Trainer(options, folder / "good", c10::kCPU).run();
  options.loss.edge = 1e39;
  Trainer trainer(options, folder / "run", c10::kCPU);
  try {
    trainer.run();
    FAIL() << "nothing was thrown";
  } catch (const core::Error& error) {
    const std::string message = error.what();
    EXPECT_TRUE(
        message.starts_with("the loss or gradient of the last 3 steps was not finite (engine.max_skips); the "
                            "last of these steps was on "))
        << message;
    EXPECT_EQ(std::ranges::count(message.substr(message.find("was on ")), ','), 1) << message;
  }
  EXPECT_EQ(trainer.progress().step, 3);
}

TEST(Skips, ARunWithoutAnyStepIsNoSuccess) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));
  options.loss.edge = 1e39;
  options.schedule.epochs = 2;  // 8 steps, fewer than max_skips
  Trainer trainer(options, folder / "run", c10::kCPU);
  EXPECT_THROW(trainer.run(), core::Error);
}

}  // namespace
}  // namespace codmoe::engine
