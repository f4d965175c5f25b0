// Any rank, killed in any phase, ends the run with a line that names it; resumed, the run ends with the bits of one
// left alone. SIGTERM to any rank saves once.
#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <sstream>

#include "codmoe/core/files.h"
#include "codmoe/data/synth.h"
#include "endurance/child.h"
#include "endurance/size.h"
#include "support/temporary_folder.h"

namespace codmoe {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int64_t kRanks = 2;
enum class Phase { step, checkpoint, evaluation };

/// The process of a rank that `launcher` started; 0: not there yet.
pid_t process_of(pid_t launcher, int64_t rank) {
  std::ifstream children("/proc/" + std::to_string(launcher) + "/task/" + std::to_string(launcher) + "/children");
  for (pid_t child = 0; children >> child;) {
    std::stringstream variables;
    variables << std::ifstream("/proc/" + std::to_string(child) + "/environ").rdbuf();
    for (std::string one; std::getline(variables, one, '\0');) {
      if (one == "RANK=" + std::to_string(rank)) return child;
    }
  }
  return 0;
}

class RanksKillTest : public ::testing::Test {
 protected:
  void SetUp() override {
    data::write_synth(folder_ / "data", {.count = 8, .size = 32, .seed = 3});
    std::ofstream(folder_ / "run.yaml")
        << "backbone: {name: tiny}\n"
           "decoder: {width: 8}\n"
           "moe: {router: {noise: 0.5}}\n"
           "data: {train: {dir: data}, val: {dir: data}, loader: {batch_size: 4, size: 32}}\n"
           "schedule: {epochs: "
        << 4 * kills_ + 6 << "}\nengine: {log_every: 1, ema: {decay: 0.9}}\n";
  }

  std::unique_ptr<test::Child> start(const std::string& run) const {
    const std::vector<std::string> arguments{"--config", (folder_ / "run.yaml").string(),
                                             "--output", (folder_ / run).string(),
                                             "--resume", "auto",
                                             "--device", "cpu",
                                             "--gpus",   std::to_string(kRanks)};
    return std::make_unique<test::Child>("codmoe-train", arguments, log_of(run));
  }
  fs::path log_of(const std::string& run) const { return folder_ / (run + ".log"); }
  std::string file_of(const std::string& run, const std::string& name) const {
    return core::read_file(folder_ / run / "checkpoints" / name);
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
  /// Waits for the phase, once a checkpoint of this life is there, then sends the signal to the rank.
  bool signal_in(test::Child& launcher, int64_t rank, Phase phase, int signal) {
    const auto before = last_step();
    if (!launcher.wait_for([&] { return last_step() != before; })) return false;
    if (phase == Phase::checkpoint && !launcher.wait_for([&] { return is_writing(); })) return false;
    if (phase == Phase::step) {
      const auto until = Clock::now() + std::chrono::duration<double>(0.2 * share_(random_));
      if (!launcher.wait_for([&] { return Clock::now() >= until; })) return false;
    }
    const auto process = process_of(launcher.id(), rank);
    return process > 0 && ::kill(process, signal) == 0;
  }
  /// Until it ends by itself; how many seconds that took.
  static double end_of(test::Child& launcher) {
    const auto begin = Clock::now();
    launcher.wait_for([&] { return Clock::now() - begin > std::chrono::seconds(60); });
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }
  void run_to_end(const std::string& run) const {
    const auto launcher = start(run);
    launcher->wait_for([] { return false; });
    ASSERT_EQ(launcher->ended(), 0) << core::read_file(log_of(run));
  }

  const int64_t kills_ = test::size_from("CODMOE_RANK_KILLS", 2);
  test::TemporaryFolder folder_;
  std::mt19937 random_{7};
  std::uniform_real_distribution<double> share_{0.0, 1.0};
};

TEST_F(RanksKillTest, EndsWithTheBitsOfARunLeftAlone) {
  run_to_end("alone");
  {
    const auto launcher = start("killed");
    ASSERT_TRUE(signal_in(*launcher, 1, Phase::step, SIGTERM)) << core::read_file(log_of("killed"));
    end_of(*launcher);
    EXPECT_EQ(launcher->ended(), 128 + SIGTERM) << core::read_file(log_of("killed"));
  }
  for (int64_t kill = 0; kill < kills_; ++kill) {
    const auto rank = (kill + 1) % kRanks;
    const auto phase = static_cast<Phase>(kill % 3);
    const auto launcher = start("killed");
    ASSERT_TRUE(signal_in(*launcher, rank, phase, SIGKILL)) << kill << ": " << core::read_file(log_of("killed"));
    EXPECT_LT(end_of(*launcher), 30) << "after kill " << kill;
    EXPECT_EQ(launcher->ended(), 128 + SIGKILL);
    const auto log = core::read_file(log_of("killed"));
    EXPECT_NE(log.find("rank " + std::to_string(rank) + " was ended by signal 9"), std::string::npos) << log;
    EXPECT_NE(log.find("go on from the last checkpoint with --resume auto"), std::string::npos) << log;
  }
  run_to_end("killed");
  for (const auto* name : {"last/model.safetensors", "last/optimizer.safetensors", "last/ema.safetensors",
                           "last/state.json", "best/model.safetensors", "best/state.json"}) {
    EXPECT_TRUE(file_of("alone", name) == file_of("killed", name)) << name << " differs";
  }
}

}  // namespace
}  // namespace codmoe
