// A rank that dies, stops, hangs or fails ends all ranks, with one line that names it; a normal end blames nobody.
#include "codmoe/dist/watch.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <map>
#include <regex>
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

void pause(milliseconds time) { std::this_thread::sleep_for(time); }

int serve_store(uint16_t port) {
  c10d::TCPStoreOptions options;
  options.port = port;
  options.isServer = true;
  const c10d::TCPStore store("127.0.0.1", options);
  pause(seconds(60));
  return 0;
}

/// Three ranks as processes, each with a watch that is less patient than a real one's.
class ThreeRanks {
 public:
  /// What the main thread of a rank does.
  using Body = std::function<void(Watch&, int64_t rank)>;
  enum class Server { rank0, agent };

  explicit ThreeRanks(const Body& body, Server server = Server::rank0) {
    const auto port = test::free_port();
    const bool agent = server == Server::agent;
    if (agent) agent_.emplace(folder_ / "agent", [port] { return serve_store(port); });
    for (int64_t rank = 0; rank < kRanks; ++rank) {
      const Place place{.rank = rank,
                        .ranks = kRanks,
                        .local_rank = rank,
                        .local_ranks = kRanks,
                        .master_host = "127.0.0.1",
                        .master_port = port,
                        .agent_store = agent};
      processes_.try_emplace(rank, folder_ / std::to_string(rank), [&, place] { return be_rank(place, body); });
    }
  }

  /// Waits until every rank is somewhere in its steps, and the others have heard of it.
  void await_steps() {
    for (auto& [rank, process] : processes_) {
      EXPECT_TRUE(wait_for([&] { return process.log().find("stepping") != std::string::npos; })) << process.log();
    }
  }
  test::RankProcess& rank(int64_t number) { return processes_.at(number); }

  /// "rank 1 (HOST, process 4711)"
  std::string name_of(int64_t number) {
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    return "rank " + std::to_string(number) + " (" + host.data() + ", process " + std::to_string(rank(number).id()) +
           ")";
  }

  /// All but `except` end with exit code 1, and in their logs together is one error: it is `error`, a pattern.
  void expect_end(int64_t except, const std::string& error) {
    std::string errors;
    for (auto& [number, process] : processes_) {
      if (number == except) continue;
      EXPECT_EQ(process.wait(), 1) << "rank " << number << ": " << process.log();
      errors += std::regex_replace(process.log(), std::regex("stepping\n"), "");
    }
    EXPECT_TRUE(std::regex_match(errors, std::regex("[0-9:]+ error " + error + "\n"))) << errors << error;
  }
  void expect_normal_end() {
    for (auto& [number, process] : processes_) {
      EXPECT_EQ(process.wait(), 0) << "rank " << number << ": " << process.log();
      EXPECT_EQ(process.log(), "");
    }
  }

 private:
  static int be_rank(const Place& place, const Body& body) {
    core::init_log("warn");
    const WatchLimits limits{.period = milliseconds(100), .silence = seconds(8), .patience = seconds(9)};
    try {
      const auto store = connect(place, seconds(60));
      Watch watch(place, store, "look at it", limits);
      watch.run([&] { body(watch, place.rank); });
      return 0;
    } catch (...) {
      return 3;
    }
  }

  test::TemporaryFolder folder_;
  std::optional<test::RankProcess> agent_;
  std::map<int64_t, test::RankProcess> processes_;
};

/// Steps until something ends the process.
void step_for_ever(Watch& watch, int64_t) {
  for (int64_t step = 0;; ++step) {
    watch.beat("step " + std::to_string(step));
    if (step == 25) fmt::print(stderr, "stepping\n");  // several periods after the start
    pause(milliseconds(20));
  }
}

void hang_as_rank_2(Watch& watch, int64_t rank) {
  watch.beat("step 1");
  if (rank == 2) pause(seconds(60));
  watch.waits("step 1");
  pause(seconds(60));
}

void lose_rank_1_in_a_collective(Watch& watch, int64_t rank) {
  watch.beat("step 1");
  pause(milliseconds(500));
  if (rank == 1) ::raise(SIGKILL);
  throw std::runtime_error("[gloo/transport/tcp/pair.cc:538] Connection closed by peer");
}

// In one test, since each takes a while in which nothing happens.
TEST(Watch, ADeadOrHangingRankIsNamedOnceAndAllEnd) {
  ThreeRanks killed(step_for_ever), killed_server(step_for_ever), stopped_server(step_for_ever);
  ThreeRanks killed_beside_agent(step_for_ever, ThreeRanks::Server::agent);
  ThreeRanks stuck(hang_as_rank_2), broken(lose_rank_1_in_a_collective);
  for (auto* run : {&killed, &killed_server, &stopped_server, &killed_beside_agent}) run->await_steps();
  killed.rank(1).signal(SIGKILL);
  killed_server.rank(0).signal(SIGKILL);
  stopped_server.rank(0).signal(SIGSTOP);
  killed_beside_agent.rank(0).signal(SIGKILL);

  const auto named = [](ThreeRanks& run, int64_t rank, const std::string& fault) {
    return std::regex_replace(run.name_of(rank), std::regex("[()]"), "\\$&") + " " + fault +
           ": the run ends; look at it";
  };
  killed.expect_end(1, named(killed, 1, "has not answered for [2-9] s, last in step [0-9]+"));
  killed_server.expect_end(0, named(killed_server, 0, "is gone, last in step [0-9]+"));
  stopped_server.expect_end(0, named(stopped_server, 0, "has not answered for [2-9] s, last in step [0-9]+"));
  killed_beside_agent.expect_end(0, named(killed_beside_agent, 0, "has not answered for [2-9] s, last in step [0-9]+"));
  stuck.expect_end(-1, named(stuck, 2, "has made no progress for [2-9] s, last in step 1"));
  broken.expect_end(1, named(broken, 1, "has not answered for [2-9] s, last in step 1"));
}

TEST(Watch, AFailureIsToldByTheOthersAtOnce) {
  ThreeRanks of_server([](Watch& watch, int64_t rank) {
    if (rank == 0) throw core::Error("disk full\nand more");
    step_for_ever(watch, rank);
  });
  ThreeRanks of_another([](Watch& watch, int64_t rank) {
    if (rank == 2) throw core::Error("no such image");
    step_for_ever(watch, rank);
  });
  of_server.expect_end(0, "rank 0 failed: disk full");
  EXPECT_EQ(of_server.rank(0).wait(), 3);
  of_another.expect_end(2, "rank 2 failed: no such image");
  EXPECT_EQ(of_another.rank(2).wait(), 3);
}

/// Whether this process has logged so.
bool has_said(const std::string& text) { return test::text_of("/proc/self/fd/2").find(text) != std::string::npos; }

TEST(Watch, ARunThatEndsIsLeftToEnd) {
  ThreeRanks run([](Watch& watch, int64_t rank) {
    watch.beat("step 1");
    if (rank == 1) throw core::Error("no such image");
    if (rank == 2) ::raise(SIGSTOP);  // the end waits for it, while
    wait_for([] { return has_said("rank 1 failed"); });
    throw std::string("not to be caught by run(), so that the watch dies");
  });
  EXPECT_EQ(run.rank(0).wait(), 1) << run.rank(0).log();
  EXPECT_EQ(run.rank(1).wait(), 3) << run.rank(1).log();
}

TEST(Watch, ANormalEndInAnyOrderBlamesNobody) {
  ThreeRanks first_ends_first([](Watch& watch, int64_t rank) {
    watch.beat("step 1");
    pause(milliseconds(500) * rank);
  });
  ThreeRanks first_ends_last([](Watch& watch, int64_t rank) {
    watch.rests("the report");
    if (rank == 0) pause(milliseconds(9500));  // longer than any limit
  });
  first_ends_first.expect_normal_end();
  first_ends_last.expect_normal_end();
}

}  // namespace
}  // namespace codmoe::dist
