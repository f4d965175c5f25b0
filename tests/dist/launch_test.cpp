// codmoe's own launcher. The ranks are this test binary again, which runs the test LocalRank.Role alone.
#include "codmoe/dist/launch.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cstdlib>

#include "codmoe/core/log.h"
#include "codmoe/dist/store.h"
#include "dist/rank_process.h"
#include "support/temporary_folder.h"

namespace codmoe::dist {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto* kRole = "CODMOE_TEST_ROLE";
constexpr auto* kFolder = "CODMOE_TEST_FOLDER";

[[noreturn]] void end_by_term(int) { ::_exit(143); }

std::filesystem::path mark_of(const std::filesystem::path& folder, int64_t rank) {
  return folder / ("rank" + std::to_string(rank));
}

/// Writes the process's number to a file whose name then says that it is ready.
void mark_ready(int64_t rank) {
  const auto mark = mark_of(*environment_variable(kFolder), rank);
  auto half = mark;
  half += ".half";
  std::ofstream(half) << ::getpid();
  std::filesystem::rename(half, mark);
}

/// What a rank does, by the role that the test gives; its exit code.
int play(const std::string& role, const Place& place) {
  ::signal(SIGTERM, role == "deaf" ? SIG_IGN : end_by_term);
  if (role == "meet") {
    connect(place, seconds(60));
    return environment_variable("OMP_NUM_THREADS") && place.ranks == 2 && place.agent_store ? 0 : 9;
  }
  mark_ready(place.rank);
  if (role == "code" && place.rank == 1) return 7;
  if (role == "deaf" && place.rank == 1) ::raise(SIGKILL);
  std::this_thread::sleep_for(seconds(60));
  return 0;
}

TEST(LocalRank, Role) {
  if (is_local_rank()) ::_exit(play(*environment_variable(kRole), place_from_environment().value()));
  EXPECT_FALSE(is_local_rank());
}

/// A launcher of two ranks, as a process.
class LaunchTest : public testing::Test {
 protected:
  void launch(const std::string& role) {
    launcher_.emplace(folder_ / "log", [&] {
      core::init_log("warn");
      ::setenv(kRole, role.c_str(), 1);
      ::setenv(kFolder, folder_.path().c_str(), 1);
      std::string name = "codmoe-dist-tests", filter = "--gtest_filter=LocalRank.Role", brief = "--gtest_brief=1";
      char* argv[] = {name.data(), filter.data(), brief.data(), nullptr};
      return run_local_ranks(2, argv, {.to_end_alone = milliseconds(200), .to_end_asked = milliseconds(300)});
    });
  }
  /// The process of a rank, once it is ready.
  pid_t process_of(int64_t rank) {
    EXPECT_TRUE(test::wait_for([&] { return std::filesystem::exists(mark_of(folder_, rank)); })) << launcher_->log();
    return std::stoi(test::text_of(mark_of(folder_, rank)));
  }
  std::string errors() const {
    const auto log = launcher_->log();
    const auto at = log.find("error ");
    return at == std::string::npos ? "" : log.substr(at);
  }

  test::TemporaryFolder folder_;
  std::optional<test::RankProcess> launcher_;
};

/// The letter of /proc for what a process does: T is stopped; Z or nothing: it is dead.
char state_of(pid_t process) {
  const auto text = test::text_of("/proc/" + std::to_string(process) + "/stat");
  const auto at = text.rfind(')');
  return at == std::string::npos ? 'Z' : text[at + 2];
}

TEST_F(LaunchTest, RanksMeetAtTheLaunchersStore) {
  launch("meet");
  EXPECT_EQ(launcher_->wait(), 0) << launcher_->log();
  EXPECT_EQ(errors(), "");
}

TEST_F(LaunchTest, AnExitCodeIsNamedPassedOnAndEndsTheRest) {
  launch("code");
  EXPECT_EQ(launcher_->wait(), 7) << launcher_->log();
  EXPECT_EQ(errors(), "error rank 1 ended with exit code 7\n");
}

TEST_F(LaunchTest, ADeathBySignalIsNamedAndADeafRestKilled) {
  launch("deaf");
  EXPECT_EQ(launcher_->wait(), 137) << launcher_->log();
  EXPECT_EQ(errors(), "error rank 1 was ended by signal 9\n");
}

TEST_F(LaunchTest, SigtermReachesAllRanksAndIsNoFailure) {
  launch("sleep");
  process_of(0), process_of(1);
  launcher_->signal(SIGTERM);
  EXPECT_EQ(launcher_->wait(), 143) << launcher_->log();
  EXPECT_EQ(errors(), "");
}

TEST_F(LaunchTest, SuspendedAndKilledRanksShareTheLaunchersFate) {
  launch("sleep");
  const pid_t ranks[] = {process_of(0), process_of(1)};
  const auto all = [&](char state) {
    return std::ranges::all_of(ranks, [&](pid_t p) { return state_of(p) == state; });
  };
  launcher_->signal(SIGTSTP);
  EXPECT_TRUE(test::wait_for([&] { return all('T'); }));
  EXPECT_TRUE(test::wait_for([&] { return state_of(launcher_->id()) == 'T'; }));
  launcher_->signal(SIGCONT);
  EXPECT_TRUE(test::wait_for([&] { return all('S'); }));
  launcher_->signal(SIGKILL);
  EXPECT_TRUE(test::wait_for([&] { return all('Z'); }));
}

}  // namespace
}  // namespace codmoe::dist
