#include "codmoe/dist/launch.h"

#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "local_ranks.h"
#include "local_store.h"

namespace codmoe::dist {

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto* kLaunched = "CODMOE_LOCAL_RANKS";

/// Signals that wait for wait_for_signal() instead of interrupting this process, for the life of this.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigemptyset(&signals_);
    for (const int number : {SIGINT, SIGTERM, SIGTSTP, SIGCHLD}) sigaddset(&signals_, number);
    ::pthread_sigmask(SIG_BLOCK, &signals_, &before_);
  }
  ~BlockedSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

  /// The next signal, or -1 after a while.
  int wait() const {
    const timespec pause{.tv_sec = 0, .tv_nsec = 200'000'000};
    return ::sigtimedwait(&signals_, nullptr, &pause);
  }

 private:
  sigset_t signals_, before_;
};

/// The variables of one rank, and this process's where it has none of that name.
std::vector<std::string> environment_of(int64_t rank, int64_t ranks, uint16_t port) {
  const auto number = std::to_string(rank), count = std::to_string(ranks);
  std::map<std::string, std::string> variables = {{"RANK", number},
                                                  {"LOCAL_RANK", number},
                                                  {"WORLD_SIZE", count},
                                                  {"LOCAL_WORLD_SIZE", count},
                                                  {"MASTER_ADDR", "127.0.0.1"},
                                                  {"MASTER_PORT", std::to_string(port)},
                                                  {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                                                  {"TORCHELASTIC_RESTART_COUNT", "0"},
                                                  {kLaunched, count}};
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    variables.emplace(text.substr(0, text.find('=')), text.substr(text.find('=') + 1));
  }
  const auto cores = static_cast<int64_t>(std::thread::hardware_concurrency());
  variables.emplace("OMP_NUM_THREADS", std::to_string(std::max<int64_t>(1, cores / ranks)));
  std::vector<std::string> entries;
  for (const auto& [name, value] : variables) entries.push_back(fmt::format("{}={}", name, value));
  return entries;
}

/// Follows the ranks to their end.
class Supervisor {
 public:
  Supervisor(LocalRanks& ranks, const LaunchLimits& limits) : ranks_(ranks), limits_(limits) {}

  int follow(const BlockedSignals& signals) {
    while (ranks_.any()) {
      pass_on(signals.wait());
      while (const auto ended = ranks_.next_ended()) note(*ended);
      if (failed_at_) hurry();
    }
    return code_;
  }

 private:
  void pass_on(int signal) {
    if (signal == SIGTSTP) {
      ranks_.signal(SIGSTOP);
      ::raise(SIGSTOP);  // returns once this process is told to go on
      ranks_.signal(SIGCONT);
    } else if (signal == SIGINT || signal == SIGTERM) {
      stopped_by_ = signal;
      ranks_.signal(signal);
    }
  }

  void note(const LocalRanks::Ended& ended) {
    if (code_ == 0) code_ = ended.code;
    if (failed_at_ || ended.code == 0 || is_stop(ended)) return;
    failed_at_ = Clock::now();
    if (ended.by_signal) {
      spdlog::error("rank {} was ended by signal {}", ended.rank, ended.code - 128);
    } else {
      spdlog::error("rank {} ended with exit code {}", ended.rank, ended.code);
    }
  }

  /// Whether a rank ended as it was asked to.
  bool is_stop(const LocalRanks::Ended& ended) const {
    if (ended.by_signal) return ended.code == 128 + stopped_by_;
    return ended.code == 128 + SIGINT || ended.code == 128 + SIGTERM;
  }

  void hurry() {
    const auto passed = Clock::now() - *failed_at_;
    if (passed > limits_.to_end_alone + limits_.to_end_asked) {
      ranks_.signal(SIGKILL);
    } else if (passed > limits_.to_end_alone && !std::exchange(asked_, true)) {
      ranks_.signal(SIGTERM);
    }
  }

  LocalRanks& ranks_;
  const LaunchLimits limits_;
  int code_ = 0, stopped_by_ = 0;
  std::optional<Clock::time_point> failed_at_;
  bool asked_ = false;
};

}  // namespace

int run_local_ranks(int64_t ranks, char** argv, const LaunchLimits& limits) {
  const BlockedSignals signals;  // before the store's thread begins, which must not get them
  const auto store = serve_local_store();
  LocalRanks processes;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    processes.start(argv, environment_of(rank, ranks, store->getPort()));
  }
  return Supervisor(processes, limits).follow(signals);
}

bool is_local_rank(const Variables& variables) { return variables(kLaunched).has_value(); }

}  // namespace codmoe::dist
