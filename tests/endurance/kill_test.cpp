// Kill it anywhere: a run that SIGKILL ended at many moments, and that was resumed each time, ends with the bits of one
// left alone; no moment leaves a checkpoint that can't be gone on from.
#include <gtest/gtest.h>

#include <fstream>

#include "codmoe/core/safetensors.h"
#include "codmoe/engine/checkpoint.h"
#include "endurance/killed_run.h"

namespace codmoe {
namespace {

namespace fs = std::filesystem;

class KillTest : public test::KilledRun {
 protected:
  void SetUp() override { write_run(/*images=*/4, /*batch_size=*/2, /*epochs=*/6 * kills_ + 4); }

  /// Trains to the end. Returns the seconds until the first checkpoint.
  double train_alone() {
    const auto begin = Clock::now();
    const auto child = start("alone");
    child->wait_for([&] { return fs::exists(folder_ / "alone/checkpoints/last"); });
    const auto seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    child->wait_for([] { return false; });
    EXPECT_EQ(child->ended(), 0) << core::read_file(log_of("alone"));
    return seconds;
  }
  /// Starts or resumes, and kills: every third time within the start, else a little after a checkpoint, every other
  /// one of these as soon as the next begins to be written. Whether it was killed.
  bool live_once(int64_t life, double start_seconds) {
    const auto child = start("killed");
    if (life % 3 == 0) return pause(*child, start_seconds);
    const auto before = last_step();
    if (!child->wait_for([&] { return last_step() != before; })) return false;
    if (life % 3 == 1) return pause(*child, 0.1);
    return child->wait_for([&] { return is_writing(); }) && pause(*child, 0.005);
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

  const int64_t kills_ = test::size_from("CODMOE_KILLS", 5);
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
  const auto start_seconds = train_alone();
  for (int64_t kill = 0; kill < kills_; ++kill) {
    ASSERT_TRUE(live_once(kill, start_seconds))
        << "it ended after " << kill << " kills: " << core::read_file(log_of("killed"));
    expect_whole_checkpoints();
    ASSERT_FALSE(HasFailure()) << "after kill " << kill;
  }
  const auto child = start("killed");
  child->wait_for([] { return false; });
  ASSERT_EQ(child->ended(), 0) << core::read_file(log_of("killed"));
  for (const auto* name : {"last/model.safetensors", "last/optimizer.safetensors", "last/ema.safetensors",
                           "last/state.json", "best/model.safetensors", "best/ema.safetensors", "best/state.json"}) {
    EXPECT_TRUE(file_of("alone", name) == file_of("killed", name)) << name << " differs";
  }
  EXPECT_EQ(lines_of(folder_ / "alone/metrics.jsonl"), lines_of(folder_ / "killed/metrics.jsonl"));
  EXPECT_FALSE(is_writing());
}

}  // namespace
}  // namespace codmoe
