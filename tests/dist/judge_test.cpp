// Who is to blame, without processes or clocks.
#include <gtest/gtest.h>

#include "codmoe/core/error.h"
#include "codmoe/dist/pulse.h"

namespace codmoe::dist {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Three ranks that a test lets go on, or not, by the second.
class JudgeTest : public testing::Test {
 protected:
  JudgeTest() : pulses_(3, Pulse{}) {
    for (std::size_t rank = 0; rank < pulses_.size(); ++rank) {
      auto& pulse = *pulses_[rank];
      pulse.host = "gpu1";
      pulse.process = 4710 + static_cast<int64_t>(rank);
      pulse.doing = Doing::works;
      pulse.where = "step 7";
    }
  }
  Pulse& pulse(std::size_t rank) { return *pulses_[rank]; }
  /// `time` passes; of each rank, a pulse comes and progress is made, or not.
  std::optional<Verdict> after(seconds time, std::vector<bool> beats, std::vector<bool> progress) {
    for (; time > seconds(0); time -= seconds(1)) {
      for (std::size_t rank = 0; rank < 3; ++rank) {
        if (pulses_[rank] && beats[rank]) ++pulse(rank).beat;
        if (pulses_[rank] && progress[rank]) ++pulse(rank).progress;
      }
      judge_.look(pulses_, seconds(1));
    }
    return judge_.verdict();
  }

  const std::vector<bool> all_{true, true, true}, none_{false, false, false};
  std::vector<std::optional<Pulse>> pulses_;
  Judge judge_{3, WatchLimits{}, "go on with --resume auto"};
};

TEST_F(JudgeTest, NobodyIsBlamedWhileAllGoOn) { EXPECT_FALSE(after(seconds(1000), all_, all_)); }

TEST_F(JudgeTest, ASilentRankIsNamedAndTheLowestOtherSpeaks) {
  after(seconds(1), all_, all_);
  EXPECT_FALSE(after(seconds(10), {false, true, true}, all_));
  const auto verdict = after(seconds(1), {false, true, true}, all_);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->line,
            "rank 0 (gpu1, process 4710) has not answered for 11 s, last in step 7: the run ends; go on with "
            "--resume auto");
  EXPECT_EQ(verdict->speaker, 1);
}

TEST_F(JudgeTest, ARankNeverHeardOfIsSilentToo) {
  pulses_[2].reset();
  const auto verdict = after(seconds(11), all_, all_);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->line,
            "rank 2 has not answered for 11 s, last in its start: the run ends; go on with --resume auto");
}

TEST_F(JudgeTest, TheRankThatIsLeastFarIsStuck) {
  after(seconds(1), all_, {true, false, true});
  EXPECT_FALSE(after(seconds(24), all_, none_));
  const auto verdict = after(seconds(1), all_, none_);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->line.find("rank 1 (gpu1, process 4711) has made no progress for 26 s, last in step 7"), 0U)
      << verdict->line;
  EXPECT_EQ(verdict->speaker, 0);
}

TEST_F(JudgeTest, ARankThatIsAboutToBeSilentIsNotCalledStuck) {
  after(seconds(1), all_, all_);
  after(seconds(18), all_, {true, false, true});
  EXPECT_FALSE(after(seconds(10), {true, false, true}, {true, false, true}));
  const auto verdict = after(seconds(1), {true, false, true}, {true, false, true});
  ASSERT_TRUE(verdict);
  EXPECT_NE(verdict->line.find("has not answered for 11 s"), std::string::npos) << verdict->line;
}

TEST_F(JudgeTest, ARankThatWaitsIsNotStuckHoweverFarItIs) {
  after(seconds(1), all_, {false, true, true});
  pulse(0).doing = pulse(2).doing = Doing::waits;
  const auto verdict = after(seconds(26), all_, none_);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->line.find("rank 1 "), 0U) << verdict->line;
}

TEST_F(JudgeTest, EquallyFarNobodyIsNamedAndPatienceIsDouble) {
  after(seconds(1), all_, all_);
  EXPECT_FALSE(after(seconds(50), all_, none_));
  const auto verdict = after(seconds(1), all_, none_);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->line,
            "no rank has made progress for 50 s, last in step 7: the run ends; go on with --resume auto");
  EXPECT_EQ(verdict->speaker, 0);
}

TEST_F(JudgeTest, WhoWaitsForARestingRankIsPatient) {
  pulse(0).doing = Doing::rests;
  pulse(1).doing = pulse(2).doing = Doing::waits;
  EXPECT_FALSE(after(seconds(1000), all_, none_));
}

TEST_F(JudgeTest, DoneRanksAreNeverBlamed) {
  after(seconds(1), all_, all_);
  pulse(0).stage = Stage::done;
  EXPECT_FALSE(after(seconds(1000), {false, true, true}, {false, true, true}));
  EXPECT_TRUE(judge_.is_done(0));
  EXPECT_TRUE(judge_.any_alive(1));
  pulse(2).stage = Stage::done;
  EXPECT_FALSE(after(seconds(1000), {false, true, false}, {false, true, false}));
  EXPECT_FALSE(judge_.any_alive(1));
}

TEST_F(JudgeTest, AFailureIsToldWithItsCause) {
  pulse(2).stage = Stage::failed;
  pulse(2).message = "disk full";
  const auto verdict = after(seconds(1), all_, all_);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->line, "rank 2 failed: disk full");
  EXPECT_EQ(verdict->speaker, 0);
}

TEST_F(JudgeTest, TheEndThatAnotherRankFoundIsTaken) {
  pulse(0).stage = Stage::failed;
  pulse(1).stage = Stage::ends;
  pulse(1).message = "rank 0 is tired";
  pulse(1).speaker = 2;
  const auto verdict = after(seconds(1), all_, all_);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->line, "rank 0 is tired");
  EXPECT_EQ(verdict->speaker, 2);
}

TEST(Pulse, IsReadAsItWasWritten) {
  const Pulse pulse{.beat = 3,
                    .progress = 4,
                    .stage = Stage::ends,
                    .doing = Doing::waits,
                    .where = "step \"5\"\n",
                    .host = "gpu1",
                    .process = 6,
                    .message = "why",
                    .speaker = 1};
  const auto back = read_pulse(write_pulse(pulse));
  EXPECT_EQ(back.beat, 3);
  EXPECT_EQ(back.progress, 4);
  EXPECT_EQ(back.stage, Stage::ends);
  EXPECT_EQ(back.doing, Doing::waits);
  EXPECT_EQ(back.where, "step \"5\"\n");
  EXPECT_EQ(back.host, "gpu1");
  EXPECT_EQ(back.process, 6);
  EXPECT_EQ(back.message, "why");
  EXPECT_EQ(back.speaker, 1);
  Pulse odd;
  odd.message = "name \xff\xfe";
  EXPECT_NO_THROW(write_pulse(odd));
  EXPECT_THROW(read_pulse("{}"), core::Error);
  EXPECT_THROW(read_pulse("x"), core::Error);
}

}  // namespace
}  // namespace codmoe::dist
