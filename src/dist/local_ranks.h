// The processes of run_local_ranks().
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace codmoe::dist {

/// Copies of this program as child processes, rank 0 first. Those that still run are killed at the end of its life.
class LocalRanks {
 public:
  LocalRanks() = default;
  ~LocalRanks();
  LocalRanks(const LocalRanks&) = delete;
  LocalRanks& operator=(const LocalRanks&) = delete;

  /// Starts the next rank: `argv` as this process has it, `environment` of entries NAME=VALUE, no signal blocked.
  void start(char** argv, std::vector<std::string> environment);

  /// A rank that has ended, and its exit code: 128 + N for signal N.
  struct Ended {
    int64_t rank;
    int code;
    bool by_signal;
  };
  /// One that ended since the last call.
  std::optional<Ended> next_ended();
  bool any() const;
  void signal(int number) const;

 private:
  std::vector<pid_t> processes_;  // 0: has ended
};

}  // namespace codmoe::dist
