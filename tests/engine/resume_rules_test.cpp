// What a run may be resumed from, and what it needs for that.
#include <gtest/gtest.h>

#include "codmoe/core/error.h"
#include "codmoe/core/files.h"
#include "codmoe/engine/trainer.h"
#include "small_run.h"
#include "support/temporary_folder.h"

namespace codmoe::engine {
namespace {

TEST(ResumeRules, ElsewhereBeginsWithoutABest) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));
  options.data.val = options.data.train;
  options.schedule.epochs = 2;
  Trainer(options, folder / "one", c10::kCPU).run();
  options.schedule.epochs = 3;
  Trainer other(options, folder / "two", c10::kCPU, find_checkpoint(folder / "one", /*prefer_best=*/false));
  EXPECT_GE(other.progress().best_step, 0);
  other.run();
  ASSERT_GE(other.progress().best_step, 0);
  EXPECT_TRUE(CheckpointStore(folder / "two" / "checkpoints").has(other.progress().best_step));
}

TEST(ResumeRules, NeedsNoneOfTheWeightsThatTheRunBeganWith) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));
  options.schedule.epochs = 2;
  Trainer(options, folder / "source", c10::kCPU).run();
  options.init.checkpoint = folder / "source";
  Trainer(options, folder / "run", c10::kCPU).run();
  std::filesystem::remove_all(folder / "source");
  options.schedule.epochs = 3;
  Trainer resumed(options, folder / "run", c10::kCPU, find_checkpoint(folder / "run", /*prefer_best=*/false));
  EXPECT_NO_THROW(resumed.run());
}

TEST(ResumeRules, ByAnotherOptimizerIsRefused) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));
  options.schedule.epochs = 2;
  Trainer(options, folder / "run", c10::kCPU).run();
  options.optimizer.name = "lion";
  const auto last = find_checkpoint(folder / "run", /*prefer_best=*/false);
  EXPECT_THROW(Trainer(options, folder / "run", c10::kCPU, last), core::Error);
}

TEST(ResumeRules, ByWhatIsNoOptimizerIsRefused) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));
  options.schedule.epochs = 1;
  Trainer(options, folder / "run", c10::kCPU).run();
  const auto last = find_checkpoint(folder / "run", /*prefer_best=*/false);
  auto state = core::Json::parse(core::read_file(last / "state.json"));
  state["config"]["optimizer"]["name"] = 5;
  core::write_file_atomically(last / "state.json", state.dump());
  EXPECT_THROW(Trainer(options, folder / "run", c10::kCPU, last), core::Error);
}

TEST(ResumeRules, NamesThatAStateCannotKeepAreRefusedBeforeTheFirstStep) {
  const test::TemporaryFolder folder;
  const auto odd = folder /
                   "Stra\xdf"
                   "e";  // Latin-1
  std::filesystem::rename(testing::small_dataset(folder), odd);
  Trainer trainer(testing::small_options(odd), folder / "run", c10::kCPU);
  EXPECT_THROW(trainer.run(), core::UsageError);
  EXPECT_EQ(trainer.progress().step, 0);
}

}  // namespace
}  // namespace codmoe::engine
