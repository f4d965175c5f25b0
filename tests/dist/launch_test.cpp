// codmoe's own launcher. The ranks are this test binary again, which runs the test LocalRank.Role alone.
#include "codmoe/dist/launch.h"

#include <gtest/gtest.h>
#include <signal.h>

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
class Launcher {
 public:
  explicit Launcher(const std::string& role) : process_(folder_ / "log", [&] { return launch(role); }) {}

  test::RankProcess& process() { return process_; }
  /// The process of a rank, once it is ready.
  pid_t rank(int64_t number) const {
    EXPECT_TRUE(test::wait_for([&] { return std::filesystem::exists(mark_of(folder_, number)); })) << process_.log();
    return std::stoi(test::text_of(mark_of(folder_, number)));
  }
  /// It ends with `code`, and `error` is all that it says.
  void expect_end(int code, const std::string& error) {
    EXPECT_EQ(process_.wait(), code) << process_.log();
    const auto log = process_.log();
    const auto at = log.find("error ");
    EXPECT_EQ(at == std::string::npos ? "" : log.substr(at), error);
  }

 private:
  int launch(const std::string& role) const {
    core::init_log("warn");
    ::setenv(kRole, role.c_str(), 1);
    ::setenv(kFolder, folder_.path().c_str(), 1);
    std::string name = "codmoe-dist-tests", filter = "--gtest_filter=LocalRank.Role", brief = "--gtest_brief=1";
    char* argv[] = {name.data(), filter.data(), brief.data(), nullptr};
    return run_local_ranks(2, argv, {.to_end_alone = milliseconds(200), .to_end_asked = milliseconds(300)});
  }

  test::TemporaryFolder folder_;
  test::RankProcess process_;
};

/// The letter of /proc for what a process does: T is stopped; Z or nothing: it is dead.
char state_of(pid_t process) {
  const auto text = test::text_of("/proc/" + std::to_string(process) + "/stat");
  const auto at = text.rfind(')');
  return at == std::string::npos ? 'Z' : text[at + 2];
}

TEST(Launch, ExitCodesArePassedOnAndTheFirstFailureIsNamedAndEndsTheRest) {
  Launcher meet("meet"), code("code"), deaf("deaf");
  meet.expect_end(0, "");
  code.expect_end(7, "error rank 1 ended with exit code 7\n");
  deaf.expect_end(137, "error rank 1 was ended by signal 9\n");
}

TEST(Launch, SigtermReachesAllRanksAndIsNoFailure) {
  Launcher launcher("sleep");
  launcher.rank(0), launcher.rank(1);
  launcher.process().signal(SIGTERM);
  launcher.expect_end(143, "");
}

TEST(Launch, RanksAreSuspendedAndKilledWithTheLauncher) {
  Launcher launcher("sleep");
  const pid_t ranks[] = {launcher.rank(0), launcher.rank(1)};
  const auto all_are = [&](char state) {
    return test::wait_for([&] { return std::ranges::all_of(ranks, [&](pid_t p) { return state_of(p) == state; }); });
  };
  launcher.process().signal(SIGTSTP);
  EXPECT_TRUE(all_are('T'));
  EXPECT_TRUE(test::wait_for([&] { return state_of(launcher.process().id()) == 'T'; }));
  launcher.process().signal(SIGCONT);
  EXPECT_TRUE(all_are('S'));
  launcher.process().signal(SIGKILL);
  EXPECT_TRUE(all_are('Z'));
}

}  // namespace
}  // namespace codmoe::dist
