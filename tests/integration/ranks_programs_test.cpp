// The programs as several processes, beside the same as one.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "codmoe/core/files.h"
#include "codmoe/core/safetensors.h"
#include "codmoe/data/synth.h"
#include "integration/program.h"
#include "support/temporary_folder.h"
#include "support/tensors.h"

namespace codmoe {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::run_program;

class RanksPrograms : public ::testing::Test {
 protected:
  void SetUp() override {
    data::write_synth(folder_ / "data", {.count = 10, .size = 48, .seed = 3});
    std::ofstream(folder_ / "run.yaml")
        << "backbone: {name: tiny}\n"
           "decoder: {width: 8}\n"
           "data: {train: {dir: data}, val: {dir: data}, loader: {batch_size: 4, size: 32, "
           "drop_last: true}}\n"
           "schedule: {epochs: 2, warmup_epochs: 0}\n"
           "engine: {log_every: 1, ranks: {sync_norm: true}}\n";
  }
  std::string path(const std::string& name) const { return "'" + (folder_ / name).string() + "'"; }
  void train(const std::string& run, const std::string& options) const {
    const auto result = run_program(
        "codmoe-train", fmt::format("--config {} --device cpu --output {} {}", path("run.yaml"), path(run), options));
    ASSERT_EQ(result.exit_code, 0) << result.output;
  }
  std::vector<json> lines(const std::string& run, const char* with) const {
    std::ifstream stream(folder_ / run / "metrics.jsonl");
    std::vector<json> found;
    for (std::string line; std::getline(stream, line);) {
      if (auto entry = json::parse(line); entry.contains(with)) found.push_back(entry[with]);
    }
    return found;
  }
  core::TensorMap file(const std::string& run, const char* name) const {
    return core::load_safetensors(folder_ / run / "checkpoints/last" / name).tensors;
  }

  test::TemporaryFolder folder_;
};

/// float32 rounds otherwise in parts; a wrong order of samples or a norm of a part would be a hundred times as far off.
TEST_F(RanksPrograms, TrainAlikeOnOneAndTwo) {
  train("one", "");
  train("two", "--gpus 2");
  const auto one = lines("one", "loss"), two = lines("two", "loss");
  ASSERT_EQ(one.size(), 4U);
  ASSERT_EQ(two.size(), 4U);
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(two[i], one[i], 2e-4) << i;
  ASSERT_EQ(lines("two", "val").size(), 2U);
  for (const auto* name : {"model.safetensors", "optimizer.safetensors"}) {
    const auto of_one = file("one", name), of_two = file("two", name);
    for (const auto& [key, tensor] : of_one) EXPECT_TRUE(of_two.contains(key)) << key;
  }
}

TEST_F(RanksPrograms, GoOnAsAnotherNumber) {
  train("run", "--gpus 2 --set schedule.epochs=1");
  const auto before = file("run", "model.safetensors");
  train("run", "--gpus 3 --resume auto --set engine.ranks.shard_optimizer=true");
  train("run", "--resume auto --set schedule.epochs=3");
  EXPECT_EQ(lines("run", "loss").size(), 6U);
  EXPECT_FALSE(test::are_equal(file("run", "model.safetensors"), before));
}

TEST_F(RanksPrograms, EvaluateAndPredictAlike) {
  train("run", "--set schedule.epochs=1");
  for (const auto* gpus : {"1", "3"}) {
    const auto options = fmt::format("--device cpu --gpus {} --checkpoint {} ", gpus, path("run"));
    const auto scored = run_program("codmoe-eval", fmt::format("{} --data data={} --csv {}", options, path("data"),
                                                               path(std::string(gpus) + ".csv")));
    EXPECT_EQ(scored.exit_code, 0) << scored.output;
    const auto masks =
        run_program("codmoe-predict", fmt::format("{} --output {} {}", options, path(gpus), path("data/Imgs")));
    EXPECT_EQ(masks.exit_code, 0) << masks.output;
  }
  EXPECT_EQ(core::read_file(folder_ / "1.csv"), core::read_file(folder_ / "3.csv"));
  for (const auto& entry : fs::directory_iterator(folder_ / "1")) {
    EXPECT_EQ(core::read_file(entry.path()), core::read_file(folder_ / "3" / entry.path().filename()));
  }
}

TEST_F(RanksPrograms, SayWhatCannotBe) {
  const auto run = [&](const std::string& options) {
    return run_program("codmoe-train",
                       fmt::format("--config {} --output {} {}", path("run.yaml"), path("run"), options));
  };
  const auto few = run("--device cpu --gpus 5");
  EXPECT_EQ(few.exit_code, 1);
  EXPECT_NE(few.output.find("fewer than there are ranks (5)"), std::string::npos) << few.output;
  const auto dry = run("--device cpu --gpus 2 --dry-run");
  EXPECT_EQ(dry.exit_code, 2);
}

}  // namespace
}  // namespace codmoe
