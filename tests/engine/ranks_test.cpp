// Steps on several ranks, each with its part of the batch, beside those of one that has all of it.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <mutex>

#include "codmoe/engine/train_step.h"
#include "codmoe/nn/weights.h"
#include "small_run.h"
#include "support/ranks.h"
#include "support/tensors.h"

namespace codmoe::engine {
namespace {

constexpr int64_t kSteps = 20;
constexpr double kTolerance = 1e-10;

/// The first `rows` rows of a batch of eight.
data::Batch whole_batch(int64_t step, int64_t rows) {
  const auto images = (128 + 50 * test::randn({rows, 3, 32, 32}, static_cast<uint64_t>(step))).clamp(0, 255);
  return {.images = images.to(at::kByte), .masks = (images.narrow(1, 0, 1) > 128).to(at::kByte) * 255, .names = {}};
}

data::Batch part_of(const data::Batch& whole, const dist::Group& group) {
  const auto rows = whole.images.size(0), first = rows * group.rank() / group.ranks();
  const auto count = rows * (group.rank() + 1) / group.ranks() - first;
  return {.images = whole.images.narrow(0, first, count),
          .masks = whole.masks.narrow(0, first, count),
          .names = {},
          .shared_rows = rows};
}

TrainOptions options_for_ranks() {
  auto options = testing::small_options("");
  options.model.moe.router.noise = 0.0;
  options.model.moe.balance = {
      .method = moe::BalanceMethod::loss, .min = 0.01, .max = 0.02, .entropy = 0.01, .z = 0.01};
  options.engine.ranks.sync_norm = true;
  options.engine.ema.decay = 0.9;
  return options;
}

model::Detector make_model(const TrainOptions& options) {
  static std::mutex mutex;  // LibTorch's generator belongs to all threads
  const std::scoped_lock lock(mutex);
  at::manual_seed(5);
  model::Detector model(options.model);
  model->to(at::kDouble);
  model->train();
  return model;
}

struct Outcome {
  std::vector<double> losses;
  core::TensorMap weights, averages;
  moe::LoadReport load;
};

/// Steps on two batches each, the second of them one row short.
Outcome train(const TrainOptions& options, dist::Group* group) {
  const auto model = make_model(options);
  TrainStep step(model, options, c10::kCPU, group);
  Outcome outcome;
  for (int64_t i = 0; i < kSteps; ++i) {
    std::vector<data::Batch> batches{whole_batch(2 * i, 8), whole_batch(2 * i + 1, 7)};
    if (group != nullptr) {
      for (auto& batch : batches) batch = part_of(batch, *group);
    }
    outcome.losses.push_back(step.run(batches, {.step = i}).item<double>());
  }
  outcome.weights = nn::state_dict(*model);
  outcome.averages = step.average()->state();
  outcome.load = step.meters().front().read();
  return outcome;
}

void expect_close(const core::TensorMap& actual, const core::TensorMap& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    EXPECT_TRUE(at::allclose(actual.at(name).to(at::kDouble), tensor.to(at::kDouble), kTolerance, kTolerance)) << name;
  }
}

class Ranks : public ::testing::TestWithParam<int64_t> {};
INSTANTIATE_TEST_SUITE_P(Of, Ranks, ::testing::Values(1, 2, 4));

void expect_same_as_one(const TrainOptions& options, int64_t ranks) {
  const auto expected = train(options, nullptr);
  test::run_ranks(ranks, [&](dist::Group& group) {
    const auto actual = train(options, &group);
    for (std::size_t i = 0; i < expected.losses.size(); ++i) {
      EXPECT_NEAR(actual.losses[i], expected.losses[i], kTolerance * std::abs(expected.losses[i])) << i;
    }
    expect_close(actual.weights, expected.weights);
    expect_close(actual.averages, expected.averages);
  });
}

TEST_P(Ranks, TakeTheStepsOfOneThatHasTheWholeBatch) { expect_same_as_one(options_for_ranks(), GetParam()); }

TEST(RanksOf, ThreeShareOutTheOptimizer) {
  auto options = options_for_ranks();
  options.engine.ranks.shard_optimizer = true;
  expect_same_as_one(options, 3);
}

TEST(RanksOf, TwoBalanceByTheLoadsOfAll) {
  auto options = options_for_ranks();
  options.model.moe.balance.method = moe::BalanceMethod::bias;
  options.model.moe.balance.rate = 0.05;
  expect_same_as_one(options, 2);
}

TEST_P(Ranks, LeaveAStepOutTogether) {
  const auto options = options_for_ranks();
  test::run_ranks(GetParam(), [&](dist::Group& group) {
    const auto model = make_model(options);
    TrainStep step(model, options, c10::kCPU, &group);
    auto part = part_of(whole_batch(1, 8), group);
    step.run({part}, {.step = 0});
    auto before = nn::state_dict(*model);
    for (auto& [name, tensor] : before) tensor = tensor.clone();
    if (group.rank() == group.ranks() - 1) {  // one rank alone has what is not finite
      const at::NoGradGuard no_grad;
      model->parameters().front().view(-1)[0].fill_(std::numeric_limits<double>::quiet_NaN());
    }
    const auto loss = step.run({part}, {.step = 1});
    EXPECT_FALSE(std::isfinite(loss.item<double>()));
    EXPECT_EQ(step.optimizer().skipped().item<double>(), 1);
    if (group.rank() < group.ranks() - 1) {
      EXPECT_TRUE(test::are_equal(nn::state_dict(*model), before));
    }
  });
}

/// momentum * the mean of the ranks' own, as each would have moved alone.
TEST(RunningStatistics, MoveByTheMeanOfTheRanksChanges) {
  auto options = options_for_ranks();
  options.engine.ranks.sync_norm = false;
  const auto statistics = [](const model::Detector& model) {
    std::vector<at::Tensor> rows;
    for (const auto& [name, tensor] : nn::state_dict(*model)) {
      if (name.starts_with("backbone.stem") && name.ends_with("running_mean")) rows.push_back(tensor.flatten());
    }
    return at::cat(rows);
  };
  test::run_ranks(2, [&](dist::Group& group) {
    const auto alone = make_model(options), together = make_model(options);
    const auto part = part_of(whole_batch(1, 8), group);
    TrainStep(alone, options, c10::kCPU).run({part}, {.step = 0});
    TrainStep(together, options, c10::kCPU, &group).run({part}, {.step = 0});
    const auto each = group.gather(statistics(alone));
    EXPECT_FALSE(at::allclose(each[0], each[1]));
    EXPECT_TRUE(at::allclose(statistics(together), each.mean(0), 1e-12, 1e-12));
    const auto all = group.gather(statistics(together));
    EXPECT_TRUE(at::equal(all[0], all[1]));
  });
}

}  // namespace
}  // namespace codmoe::engine
