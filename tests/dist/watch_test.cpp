// A rank that dies, stops, hangs or fails ends all ranks, with one line that names it; a normal end blames nobody.
#include "codmoe/dist/watch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "codmoe/core/log.h"
#include "codmoe/dist/store.h"
#include "dist/rank_process.h"
#include "support/temporary_folder.h"

namespace codmoe::dist {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::wait_for;

constexpr int64_t kRanks = 3;

void pause(milliseconds time = milliseconds(10)) { std::this_thread::sleep_for(time); }

/// Three ranks as processes, each with a watch that is less patient than a real one's.
class WatchTest : public testing::Test {
 protected:
  using Body = std::function<void(Watch&, int64_t rank)>;

  /// Starts all ranks; `body` is what their main threads do. They meet at a store that rank 0 serves, or an agent.
  void start(const Body& body, bool agent = false) {
    const auto port = test::free_port();
    if (agent) agent_.emplace(folder_ / "agent.log", [port] { return serve(port); });
    for (int64_t rank = 0; rank < kRanks; ++rank) {
      Place place{.rank = rank,
                  .ranks = kRanks,
                  .local_rank = rank,
                  .local_ranks = kRanks,
                  .master_host = "127.0.0.1",
                  .master_port = port,
                  .agent_store = agent};
      processes_.try_emplace(rank, folder_ / std::to_string(rank), [&, place] { return run(place, body); });
    }
  }

  /// Steps until the test ends the process; the first few are announced to await_steps().
  void step_for_ever(Watch& watch, int64_t rank) const {
    for (int64_t step = 0;; ++step) {
      watch.beat("step " + std::to_string(step));
      if (step == 3) std::ofstream(stepping(rank)) << step;
      pause();
    }
  }
  void await_steps() {
    for (int64_t rank = 0; rank < kRanks; ++rank) {
      ASSERT_TRUE(wait_for([&] { return std::filesystem::exists(stepping(rank)); })) << processes_.at(rank).log();
    }
  }

  /// All but `except` end by exit code 1, and in all their logs together there is one error; it is returned.
  std::string the_only_error(int64_t except) {
    std::string errors;
    for (auto& [rank, process] : processes_) {
      if (rank == except) continue;
      EXPECT_EQ(process.wait(), 1) << "rank " << rank << ": " << process.log();
      errors += process.log();
    }
    EXPECT_EQ(std::ranges::count(errors, '\n'), 1) << errors;
    return errors.substr(0, errors.find('\n'));
  }

  /// "rank 1 (HOST, process 4711) "
  std::string name_of(int64_t rank) const {
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    return "rank " + std::to_string(rank) + " (" + host.data() + ", process " +
           std::to_string(processes_.at(rank).id()) + ") ";
  }

  std::map<int64_t, test::RankProcess> processes_;

 private:
  static int serve(uint16_t port) {
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = true;
    const c10d::TCPStore store("127.0.0.1", options);
    pause(seconds(60));
    return 0;
  }

  static int run(const Place& place, const Body& body) {
    core::init_log("warn");
    const WatchLimits limits{.period = milliseconds(100), .silence = seconds(2), .patience = milliseconds(1500)};
    try {
      const auto store = connect(place, seconds(30));
      Watch watch(place, store, "look at it", limits);
      watch.run([&] { body(watch, place.rank); });
      return 0;
    } catch (const std::exception&) {
      return 3;
    }
  }

  std::filesystem::path stepping(int64_t rank) const { return folder_ / ("stepping" + std::to_string(rank)); }

  test::TemporaryFolder folder_;
  std::optional<test::RankProcess> agent_;
};

TEST_F(WatchTest, AKilledRankIsNamed) {
  start([this](Watch& watch, int64_t rank) { step_for_ever(watch, rank); });
  await_steps();
  processes_.at(1).signal(SIGKILL);
  const auto line = the_only_error(1);
  EXPECT_NE(line.find("error " + name_of(1) + "has not answered for 2 s, last in step "), std::string::npos) << line;
  EXPECT_NE(line.find(": the run ends; look at it"), std::string::npos) << line;
}

TEST_F(WatchTest, AKilledRankThatServedTheStoreIsNamed) {
  start([this](Watch& watch, int64_t rank) { step_for_ever(watch, rank); });
  await_steps();
  processes_.at(0).signal(SIGKILL);
  const auto line = the_only_error(0);
  EXPECT_NE(line.find("error " + name_of(0) + "is gone, last in step "), std::string::npos) << line;
}

TEST_F(WatchTest, AKilledRankZeroIsNamedWhereAnAgentServesTheStore) {
  start([this](Watch& watch, int64_t rank) { step_for_ever(watch, rank); }, true);
  await_steps();
  processes_.at(0).signal(SIGKILL);
  const auto line = the_only_error(0);
  EXPECT_NE(line.find("error " + name_of(0) + "has not answered for 2 s, last in step "), std::string::npos) << line;
}

TEST_F(WatchTest, AStoppedRankThatServesTheStoreIsNamed) {
  start([this](Watch& watch, int64_t rank) { step_for_ever(watch, rank); });
  await_steps();
  processes_.at(0).signal(SIGSTOP);
  const auto line = the_only_error(0);
  EXPECT_NE(line.find("error " + name_of(0) + "has not answered for 2 s, last in step "), std::string::npos) << line;
}

TEST_F(WatchTest, AStuckMainThreadIsNamed) {
  start([this](Watch& watch, int64_t rank) {
    watch.beat("step 1");
    if (rank == 2) pause(seconds(60));
    watch.waits("step 1");
    pause(seconds(60));
  });
  const auto line = the_only_error(-1);
  EXPECT_NE(line.find("error " + name_of(2) + "has made no progress for "), std::string::npos) << line;
  EXPECT_NE(line.find(" s, last in step 1: the run ends"), std::string::npos) << line;
}

TEST_F(WatchTest, AFailureIsToldByTheOthers) {
  start([this](Watch& watch, int64_t rank) {
    if (rank == 0) throw core::Error("disk full\nand more");
    step_for_ever(watch, rank);
  });
  const auto line = the_only_error(0);
  EXPECT_NE(line.find("error rank 0 failed: disk full"), std::string::npos) << line;
  EXPECT_EQ(processes_.at(0).wait(), 3) << processes_.at(0).log();
}

TEST_F(WatchTest, AFailedCollectiveBlamesTheRankThatBrokeIt) {
  start([this](Watch& watch, int64_t rank) {
    if (rank != 1) throw std::runtime_error("[gloo/transport/tcp/pair.cc:538] Connection closed by peer");
    ::raise(SIGKILL);
    step_for_ever(watch, rank);
  });
  const auto line = the_only_error(1);
  EXPECT_NE(line.find("error rank 1"), std::string::npos) << line;
  EXPECT_NE(line.find("has not answered for 2 s"), std::string::npos) << line;
}

TEST_F(WatchTest, ANormalEndInAnyOrderBlamesNobody) {
  start([](Watch& watch, int64_t rank) {
    watch.beat("step 1");
    pause(milliseconds(1200) * rank);  // the last is alone for longer than what counts as alive
  });
  for (auto& [rank, process] : processes_) {
    EXPECT_EQ(process.wait(), 0) << process.log();
    EXPECT_EQ(process.log(), "");
  }
}

TEST_F(WatchTest, RankZeroMayBeTheLast) {
  start([](Watch& watch, int64_t rank) {
    watch.rests("the report");
    if (rank == 0) pause(seconds(3));
  });
  for (auto& [rank, process] : processes_) {
    EXPECT_EQ(process.wait(), 0) << process.log();
    EXPECT_EQ(process.log(), "");
  }
}

}  // namespace
}  // namespace codmoe::dist
