#include "local_ranks.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "codmoe/core/error.h"

namespace codmoe::dist {

namespace {

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (auto& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// In the child, which may call little: other threads' locks stay locked in it.
[[noreturn]] void become_rank(pid_t parent, char** argv, char** environment) {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() == parent) ::execve("/proc/self/exe", argv, environment);
  ::_exit(127);
}

}  // namespace

LocalRanks::~LocalRanks() {
  signal(SIGKILL);
  for (const auto process : processes_) {
    if (process > 0) ::waitpid(process, nullptr, 0);
  }
}

void LocalRanks::start(char** argv, std::vector<std::string> environment) {
  const auto entries = pointers_to(environment);
  const auto parent = ::getpid();
  const auto process = ::fork();
  if (process == 0) become_rank(parent, argv, const_cast<char**>(entries.data()));
  if (process < 0) {
    throw core::Error(
        fmt::format("rank {} can not be started: {}", processes_.size(), std::generic_category().message(errno)));
  }
  ::setpgid(process, process);  // whichever of the two comes first
  processes_.push_back(process);
}

std::optional<LocalRanks::Ended> LocalRanks::next_ended() {
  for (std::size_t rank = 0; rank < processes_.size(); ++rank) {
    int status = 0;
    if (processes_[rank] == 0 || ::waitpid(processes_[rank], &status, WNOHANG) <= 0) continue;
    processes_[rank] = 0;
    const bool by_signal = WIFSIGNALED(status);
    return Ended{static_cast<int64_t>(rank), by_signal ? 128 + WTERMSIG(status) : WEXITSTATUS(status), by_signal};
  }
  return std::nullopt;
}

bool LocalRanks::any() const {
  return std::ranges::any_of(processes_, [](pid_t process) { return process != 0; });
}

void LocalRanks::signal(int number) const {
  for (const auto process : processes_) {
    if (process > 0) ::kill(process, number);
  }
}

}  // namespace codmoe::dist
