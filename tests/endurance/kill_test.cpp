// Kill it anywhere: a run that SIGKILL ended at many moments, and that was resumed each time, ends with the bits of one
// left alone; no moment leaves a checkpoint that can't be gone on from.
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "codmoe/core/files.h"
#include "codmoe/core/safetensors.h"
#include "codmoe/data/synth.h"
#include "codmoe/engine/checkpoint.h"
#include "endurance/child.h"
#include "endurance/size.h"
#include "support/temporary_folder.h"

namespace codmoe {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

class KillTest : public ::testing::Test {
 protected:
  void SetUp() override {
    data::write_synth(folder_ / "data", {.count = 4, .size = 32, .seed = 3});
    std::ofstream(folder_ / "run.yaml")
        << "backbone: {name: tiny}\n"
           "decoder: {width: 8}\n"
           "moe: {router: {noise: 0.5}}\n"
           "data: {train: {dir: data}, val: {dir: data}, loader: {batch_size: 2, size: 32}}\n"
           "schedule: {epochs: "
        << 6 * kills_ + 4 << "}\nengine: {log_every: 1, ema: {decay: 0.9}}\n";
  }

  std::vector<std::string> arguments(const std::string& run) const {
    return {"--config", (folder_ / "run.yaml").string(),
            "--output", (folder_ / run).string(),
            "--resume", "auto",
            "--device", "cpu"};
  }
  /// Trains to the end. Returns the seconds until the first checkpoint.
  double train_alone() {
    const auto begin = Clock::now();
    test::Child child("codmoe-train", arguments("alone"), folder_ / "alone.log");
    child.wait_for([&] { return fs::exists(folder_ / "alone/checkpoints/last"); });
    const auto start = std::chrono::duration<double>(Clock::now() - begin).count();
    child.wait_for([] { return false; });
    EXPECT_EQ(child.ended(), 0) << core::read_file(folder_ / "alone.log");
    return start;
  }
  std::string last_step() const {
    std::error_code none;
    return fs::read_symlink(folder_ / "killed/checkpoints/last", none).string();
  }
  bool is_writing() const {
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(folder_ / "killed/checkpoints", none)) {
      if (entry.path().filename().string().find(".tmp-") != std::string::npos) return true;
    }
    return false;
  }
  /// Starts or resumes, and kills: every third time within the start, else a little after a checkpoint, every other
  /// one of these as soon as the next begins to be written. Whether it was killed.
  bool live_once(int64_t life, double start_seconds) {
    test::Child child("codmoe-train", arguments("killed"), folder_ / "killed.log");
    const auto pause = [&](double seconds) {
      const auto until = Clock::now() + std::chrono::duration<double>(seconds * share_(random_));
      return child.wait_for([&] { return Clock::now() >= until; });
    };
    if (life % 3 == 0) return pause(start_seconds);
    const auto before = last_step();
    if (!child.wait_for([&] { return last_step() != before; })) return false;
    if (life % 3 == 1) return pause(0.1);
    return child.wait_for([&] { return is_writing(); }) && pause(0.005);
  }
  /// What a resume reads of them.
  void expect_whole_checkpoints() const {
    for (const auto* link : {"last", "best"}) {
      const auto step = folder_ / "killed/checkpoints" / link;
      if (!fs::is_symlink(step)) continue;
      EXPECT_NO_THROW(engine::read_state(step)) << link;
      for (const auto* file : {"model.safetensors", "optimizer.safetensors", "ema.safetensors"}) {
        EXPECT_NO_THROW(core::load_safetensors(step / file)) << link;
      }
    }
  }
  std::string file_of(const std::string& run, const std::string& name) const {
    return core::read_file(folder_ / run / "checkpoints" / name);
  }

  const int64_t kills_ = test::size_from("CODMOE_KILLS", 5);
  test::TemporaryFolder folder_;
  std::mt19937 random_{7};
  std::uniform_real_distribution<double> share_{0.0, 1.0};
};

/// The numbers of each line but those that time and memory decide.
std::vector<std::string> lines_of(const fs::path& log) {
  std::ifstream stream(log);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) {
    auto entry = core::Json::parse(line);
    entry.erase("images_per_s");
    entry.erase("memory");
    lines.push_back(entry.dump());
  }
  return lines;
}

TEST_F(KillTest, EndsWithTheBitsOfARunLeftAlone) {
  const auto start = train_alone();
  for (int64_t kill = 0; kill < kills_; ++kill) {
    ASSERT_TRUE(live_once(kill, start)) << "it ended after " << kill
                                        << " kills: " << core::read_file(folder_ / "killed.log");
    expect_whole_checkpoints();
    ASSERT_FALSE(HasFailure()) << "after kill " << kill;
  }
  test::Child child("codmoe-train", arguments("killed"), folder_ / "killed.log");
  child.wait_for([] { return false; });
  ASSERT_EQ(child.ended(), 0) << core::read_file(folder_ / "killed.log");
  for (const auto* name : {"last/model.safetensors", "last/optimizer.safetensors", "last/ema.safetensors",
                           "last/state.json", "best/model.safetensors", "best/ema.safetensors", "best/state.json"}) {
    EXPECT_TRUE(file_of("alone", name) == file_of("killed", name)) << name << " differs";
  }
  EXPECT_EQ(lines_of(folder_ / "alone/metrics.jsonl"), lines_of(folder_ / "killed/metrics.jsonl"));
  EXPECT_FALSE(is_writing());
}

}  // namespace
}  // namespace codmoe
