// Steps on several ranks, each with its part of the batch, beside those of one that has all of it.
#include "ranks_run.h"

namespace codmoe::engine::testing {
namespace {

class Ranks : public ::testing::TestWithParam<int64_t> {};
INSTANTIATE_TEST_SUITE_P(Of, Ranks, ::testing::Values(1, 2, 4));

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
}  // namespace codmoe::engine::testing
