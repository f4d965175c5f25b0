// Any rank, killed in any phase, ends the run with a line that names it; resumed, the run ends with the bits of one
// left alone. SIGTERM to any rank saves once.
#include <fstream>
#include <sstream>

#include "endurance/killed_run.h"

namespace codmoe {
namespace {

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

class RanksKillTest : public test::KilledRun {
 protected:
  void SetUp() override { write_run(/*images=*/8, /*batch_size=*/4, /*epochs=*/4 * kills_ + 6); }

  std::unique_ptr<test::Child> start_ranks(const std::string& run) const {
    return start(run, {"--gpus", std::to_string(kRanks)});
  }
  /// Waits for the phase, once a checkpoint of this life is there, then sends the signal to the rank.
  bool signal_in(test::Child& launcher, int64_t rank, Phase phase, int signal) {
    const auto before = last_step();
    if (!launcher.wait_for([&] { return last_step() != before; })) return false;
    if (phase == Phase::checkpoint && !launcher.wait_for([&] { return is_writing(); })) return false;
    if (phase == Phase::step && !pause(launcher, 0.2)) return false;
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
    const auto launcher = start_ranks(run);
    launcher->wait_for([] { return false; });
    ASSERT_EQ(launcher->ended(), 0) << core::read_file(log_of(run));
  }

  const int64_t kills_ = test::size_from("CODMOE_RANK_KILLS", 2);
};

TEST_F(RanksKillTest, EndsWithTheBitsOfARunLeftAlone) {
  run_to_end("alone");
  {
    const auto launcher = start_ranks("killed");
    ASSERT_TRUE(signal_in(*launcher, 1, Phase::step, SIGTERM)) << core::read_file(log_of("killed"));
    end_of(*launcher);
    EXPECT_EQ(launcher->ended(), 128 + SIGTERM) << core::read_file(log_of("killed"));
  }
  for (int64_t kill = 0; kill < kills_; ++kill) {
    const auto rank = (kill + 1) % kRanks;
    const auto phase = static_cast<Phase>(kill % 3);
    const auto launcher = start_ranks("killed");
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
