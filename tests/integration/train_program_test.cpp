// codmoe-train beside training: what it says before, of several seeds, and when the world is against it.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "codmoe/engine/checkpoint.h"
#include "integration/program.h"
#include "support/temporary_folder.h"

namespace codmoe {
namespace {

namespace fs = std::filesystem;
using test::run_program;

class TrainProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(run_program("codmoe-data", "synth --output " + path("data") + " --count 4 --size 32 --seed 5").exit_code,
              0);
    std::ofstream(folder_ / "run.yaml")
        << "backbone: {name: tiny}\ndecoder: {width: 8}\n"
           "data: {train: {dir: data}, val: {dir: data}, loader: {batch_size: 2, size: 32}}\n"
           "schedule: {epochs: 1, warmup_epochs: 0}\nengine: {accumulate: 2}\n";
  }
  std::string path(const std::string& name) const { return "'" + (folder_ / name).string() + "'"; }
  test::ProgramResult train(const std::string& arguments) const {
    return run_program("codmoe-train", "--device cpu --config " + path("run.yaml") + " " + arguments);
  }
  /// What it says and ends with: the last line alone names the cause.
  static void expect_failure(const test::ProgramResult& result, const std::string& part) {
    EXPECT_EQ(result.exit_code, 1) << result.output;
    const auto begin = result.output.find("codmoe-train: ");
    ASSERT_NE(begin, std::string::npos) << result.output;
    const auto said = result.output.substr(begin);
    EXPECT_NE(said.find(part), std::string::npos) << said;
    EXPECT_EQ(std::ranges::count(said, '\n'), 1) << said;
  }

  test::TemporaryFolder folder_;
};

TEST_F(TrainProgram, DryRunTellsAndWritesNothing) {
  const auto result = train("--dry-run --output " + path("run"));
  ASSERT_EQ(result.exit_code, 0) << result.output;
  for (const auto* part : {"backbone stage 4", "\nmoe.0 ", "\n  contrast ", "\ndecoder ", "1 x 1 x 8 x 8",
                           "memory of a step, batch 2: about ", "4 images, 1 steps an epoch, 1 in 1 epochs"}) {
    EXPECT_NE(result.output.find(part), std::string::npos) << part << " is not in\n" << result.output;
  }
  EXPECT_FALSE(fs::exists(folder_ / "run"));
}

TEST_F(TrainProgram, SeedsGiveMeanAndDeviationAndAreResumed) {
  const auto result = train("--seeds 0,3 --output " + path("runs"));
  ASSERT_EQ(result.exit_code, 0) << result.output;
  EXPECT_NE(result.output.find("mean ± sd    seed 0    seed 3"), std::string::npos) << result.output;
  const auto seeds = nlohmann::json::parse(std::ifstream(folder_ / "runs/seeds.json"));
  double sum = 0;
  for (const auto* seed : {"0", "3"}) {
    const auto own = folder_ / "runs" / fmt::format("seed-{}", seed);
    const auto progress = engine::read_state(engine::find_checkpoint(own, true)).progress;
    EXPECT_EQ(seeds["seeds"][seed]["IoU"], progress.best_score);
    sum += progress.best_score;
  }
  EXPECT_NEAR(seeds["mean"]["IoU"].get<double>(), sum / 2, 1e-12);
  EXPECT_EQ(train("--seeds 0,3 --output " + path("runs")).exit_code, 2);
  const auto again = train("--seeds 0,3,4 --resume auto --output " + path("runs"));
  ASSERT_EQ(again.exit_code, 0) << again.output;
  EXPECT_TRUE(fs::exists(folder_ / "runs/seed-4/checkpoints/best"));
  EXPECT_EQ(train("--seeds 1,1 --output " + path("x")).exit_code, 2);
}

TEST_F(TrainProgram, WithoutValidationItEndsWithTheFolderOfItsWeights) {
  const auto result = train("--set data.val.dir= --output " + path("run"));
  EXPECT_EQ(result.exit_code, 0) << result.output;
  const auto said = "done: 1 steps; the weights are in " + (folder_ / "run/checkpoints/last").string() + "\n";
  EXPECT_TRUE(result.output.ends_with(said)) << result.output;
  EXPECT_TRUE(fs::exists(folder_ / "run/checkpoints/last/model.safetensors"));
}

TEST_F(TrainProgram, BeginsWithOtherWeights) {
  const auto first = "\"" + (folder_ / "it's one").string() + "\"";
  ASSERT_EQ(train("--output " + first).exit_code, 0);
  const auto second = train("--init-from " + first + " --output " + path("two"));
  EXPECT_EQ(second.exit_code, 0) << second.output;
  EXPECT_NE(second.output.find("\nmissing         0\n"), std::string::npos) << second.output;
  const auto refused = train("--set decoder.width=4 --init-from " + first + " --output " + path("three"));
  expect_failure(refused, "init.partial: true takes what fits");
}

TEST_F(TrainProgram, SecondRunInAFolderIsRefused) {
  fs::create_directories(folder_ / "run");
  const int file = ::open((folder_ / "run/.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  ASSERT_EQ(::flock(file, LOCK_EX), 0);
  ASSERT_EQ(::write(file, "process 1 on here", 17), 17);
  expect_failure(train("--output " + path("run")), "process 1 on here trains here");
  ::close(file);
}

TEST_F(TrainProgram, FolderThatTakesNoFilesIsNamed) {
  expect_failure(train("--output /proc/codmoe"), "cannot make the run folder /proc/codmoe: ");
}

TEST_F(TrainProgram, FullDiskIsOneLineAndTheCheckpointStays) {
  ASSERT_EQ(train("--output " + path("run")).exit_code, 0);
  const auto before = engine::find_checkpoint(folder_ / "run", false);
  // 64 blocks of 512 or 1024 bytes a file, and no signal: writes fail as on a full disk.
  const auto program = fs::absolute(fs::path(CODMOE_BINARY_DIR) / "bin/codmoe-train").string();
  const auto result = run_program(
      "codmoe-train", "--version >/dev/null; trap '' XFSZ; ulimit -f 64; '" + program + "' --device cpu --config " +
                          path("run.yaml") +
                          " --set schedule.epochs=2 --set engine.log_images=0 --resume auto --output " + path("run"));
  expect_failure(result, "model.safetensors: File too large");
  EXPECT_EQ(engine::find_checkpoint(folder_ / "run", false), before);
  EXPECT_NO_THROW(engine::read_state(before));
  EXPECT_EQ(train("--set schedule.epochs=2 --resume auto --output " + path("run")).exit_code, 0);
}

TEST_F(TrainProgram, ResumingFromElsewhereIntoAUsedFolderIsRefused) {
  ASSERT_EQ(train("--output " + path("one")).exit_code, 0);
  ASSERT_EQ(train("--output " + path("two")).exit_code, 0);
  EXPECT_EQ(train("--resume " + path("one") + " --output " + path("two")).exit_code, 2);
}

TEST_F(TrainProgram, AnEarlierStepIsGoneOnFromElsewhereAlone) {
  ASSERT_EQ(train("--set schedule.epochs=2 --output " + path("run")).exit_code, 0);
  const auto earlier = path("run/checkpoints/step-1");
  const auto later = folder_ / "run/checkpoints/step-2";
  EXPECT_EQ(train("--set schedule.epochs=2 --resume " + earlier + " --output " + path("run")).exit_code, 2);
  EXPECT_TRUE(fs::exists(later / "state.json"));
  EXPECT_EQ(train("--set schedule.epochs=2 --resume " + earlier + " --output " + path("other")).exit_code, 0);
  EXPECT_TRUE(fs::exists(folder_ / "other/checkpoints/step-2/state.json"));
}

TEST_F(TrainProgram, SeedsAreRefusedBeforeTheFirstIsTrained) {
  ASSERT_EQ(train("--seeds 1 --output " + path("runs")).exit_code, 0);
  EXPECT_EQ(train("--seeds 0,1 --output " + path("runs")).exit_code, 2);
  EXPECT_FALSE(fs::exists(folder_ / "runs/seed-0"));
}

}  // namespace
}  // namespace codmoe
