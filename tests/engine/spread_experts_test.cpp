// Training with experts spread over ranks, beside that of one rank that has all.
#include <filesystem>
#include <limits>

#include "codmoe/engine/checkpoint.h"
#include "codmoe/moe/expert_parallel.h"
#include "ranks_run.h"
#include "support/temporary_folder.h"

namespace codmoe::engine::testing {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kFewSteps = 4;

TrainOptions spread_options() {
  auto options = options_for_ranks();
  options.engine.ranks.spread_experts = true;
  options.optimizer.clip_norm = 0.05;  // below the steps' norms
  return options;
}

class SpreadExperts : public ::testing::TestWithParam<int64_t> {};
INSTANTIATE_TEST_SUITE_P(Over, SpreadExperts, ::testing::Values(2, 4));

TEST_P(SpreadExperts, TakeTheStepsOfOneRank) {
  const auto options = spread_options();
  for (const auto norm : train(options, nullptr, kFewSteps).norms) EXPECT_GT(norm, options.optimizer.clip_norm);
  expect_same_as_one(options, GetParam());
}

TEST(SpreadExpertsOf, ThreeRanksThatAlsoShareOutTheOptimizer) {
  auto options = spread_options();
  options.engine.ranks.shard_optimizer = true;
  options.model.moe.balance = {.method = moe::BalanceMethod::bias, .rate = 0.05};
  expect_same_as_one(options, 3, kFewSteps);
}

TEST(SpreadExpertsOf, RanksOfWhichTwoHaveNone) {
  auto options = spread_options();
  options.model.moe.experts = {"texture", "attention"};
  expect_same_as_one(options, 4, kFewSteps);
}

core::TensorMap copies(const core::TensorMap& state) {
  core::TensorMap copied;
  for (const auto& [name, tensor] : state) copied[name] = tensor.clone();
  return copied;
}

/// A model and its steps on one rank, or of several.
struct Training {
  explicit Training(const TrainOptions& options, dist::Group* ranks = nullptr)
      : group(ranks), model(make_model(options, ranks)), step(model, options, c10::kCPU, ranks) {}

  double train(int64_t from, int64_t to) {
    double loss = 0;
    for (int64_t i = from; i < to; ++i) {
      const auto whole = whole_batch(i, 8);
      loss = step.run({group == nullptr ? whole : part_of(whole, *group)}, {.step = i}).item<double>();
    }
    return loss;
  }

  dist::Group* group;
  model::Detector model;
  TrainStep step;
};

/// What is not finite is in the gradients of one rank's own experts alone: no loss and no other gradient shows it.
void spoil_own_gradients(Training& run) {
  const auto owners = moe::expert_owners(*run.model);
  for (const auto& item : run.model->named_parameters()) {
    if (!owners.contains(item.key()) || owners.at(item.key()) != run.group->rank()) continue;
    item.value().register_hook([](const at::Tensor& gradient) { return gradient * std::nan(""); });
  }
}

TEST_P(SpreadExperts, LeaveAStepOutTogether) {
  test::run_ranks(GetParam(), [&](dist::Group& group) {
    Training run(spread_options(), &group);
    run.train(0, 2);
    const auto weights = copies(nn::state_dict(*run.model)), averages = copies(run.step.average()->state());
    if (group.rank() == group.ranks() - 1) spoil_own_gradients(run);
    EXPECT_TRUE(std::isfinite(run.train(2, 3)));
    EXPECT_EQ(run.step.optimizer().skipped().item<float>(), 1);
    EXPECT_TRUE(test::are_equal(nn::state_dict(*run.model), weights));
    EXPECT_TRUE(test::are_equal(run.step.average()->state(), averages));
  });
}

/// Other ranks' experts may lie on another device: no step may touch them here.
TEST_P(SpreadExperts, OfOtherRanksStayAsTheyWere) {
  test::run_ranks(GetParam(), [&](dist::Group& group) {
    Training run(spread_options(), &group);
    const auto before = copies(nn::state_dict(*run.model));
    run.train(0, 3);
    const auto elsewhere = moe::experts_elsewhere(*run.model);
    EXPECT_FALSE(elsewhere.empty());
    for (const auto& name : elsewhere) {
      EXPECT_TRUE(nn::state_dict(*run.model).at(name).equal(before.at(name))) << name;
      EXPECT_TRUE(run.step.average()->state().at(name).equal(before.at(name))) << name;
    }
    for (const auto& item : run.model->named_parameters()) {
      EXPECT_EQ(item.value().grad().defined(), !elsewhere.contains(item.key())) << item.key();
    }
  });
}

/// Without sync_norm: an expert sees all ranks' images, and its owner alone knows its statistics.
TEST(SpreadExpertsStatistics, StayTheirOwners) {
  auto options = spread_options();
  options.engine.ranks.sync_norm = false;
  test::run_ranks(2, [&](dist::Group& group) {
    Training run(options, &group);
    run.train(0, 2);
    const auto owners = moe::expert_owners(*run.model);
    int64_t moved_by_one = 0;
    for (const auto& [name, tensor] : nn::state_dict(*run.model)) {
      if (!name.ends_with("running_mean")) continue;
      const auto of_ranks = group.gather(tensor.contiguous());
      const bool same = at::equal(of_ranks[0], of_ranks[1]);
      EXPECT_TRUE(same || owners.contains(name)) << name;
      moved_by_one += same ? 0 : 1;
    }
    EXPECT_GT(moved_by_one, 0);  // not all experts: some get no image
  });
}

// Of its state the random numbers are left out: they belong to the process, in which all ranks are.
void save(Training& run, const fs::path& folder) {
  run.step.gather_experts();
  const auto state = run.step.optimizer().state();
  if (run.group != nullptr && !run.group->leads()) return;
  CheckpointStore(folder).save(*run.model, state, run.step.average(), {}, {}, "data", /*keep_last=*/1);
}

void load(Training& run, const fs::path& folder) {
  const auto read = [&](const char* name) { return core::load_safetensors(folder / "last" / name).tensors; };
  nn::load_state(*run.model, read("model.safetensors"));
  run.step.optimizer().load_state(read("optimizer.safetensors"));
  restore_average(folder / "last", run.step.average());
}

void expect_files(const fs::path& actual, const fs::path& expected,
                  const std::function<void(const core::TensorMap&, const core::TensorMap&)>& expect) {
  for (const auto* name : {"model.safetensors", "ema.safetensors", "optimizer.safetensors"}) {
    SCOPED_TRACE(name);
    expect(core::load_safetensors(actual / "last" / name).tensors,
           core::load_safetensors(expected / "last" / name).tensors);
  }
}

void expect_equal(const core::TensorMap& actual, const core::TensorMap& expected) {
  EXPECT_TRUE(test::are_equal(actual, expected));
}

class SpreadCheckpoint : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Sharded, SpreadCheckpoint, ::testing::Bool());

TEST_P(SpreadCheckpoint, MovesBetweenNumbersOfRanks) {
  const test::TemporaryFolder folder;
  for (const auto* name : {"one", "two", "moved", "three"}) fs::create_directories(folder / name);
  auto options = spread_options();
  options.engine.ranks.shard_optimizer = GetParam();
  Training one(options);
  one.train(0, 5);
  save(one, folder / "one");
  test::run_ranks(2, [&](dist::Group& group) {
    Training run(options, &group);
    run.train(0, 5);
    save(run, folder / "two");
  });
  expect_files(folder / "two", folder / "one", expect_close);

  Training moved(options);
  load(moved, folder / "two");
  save(moved, folder / "moved");
  expect_files(folder / "moved", folder / "two", expect_equal);
  EXPECT_NEAR(moved.train(5, 8), one.train(5, 8), kTolerance);

  test::run_ranks(3, [&](dist::Group& group) {
    Training run(options, &group);
    load(run, folder / "moved");
    save(run, folder / "three");
    run.train(5, 8);
    run.step.gather_experts();
    expect_close(nn::state_dict(*run.model), nn::state_dict(*moved.model));
  });
  expect_files(folder / "three", folder / "two", expect_equal);
}

}  // namespace
}  // namespace codmoe::engine::testing
