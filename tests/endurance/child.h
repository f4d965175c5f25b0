// A program as a child process that can be killed at any moment.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace codmoe::test {

class Child {
 public:
  /// Starts a program of the build; what it prints goes to `log`.
  Child(const std::string& name, std::vector<std::string> arguments, const std::filesystem::path& log) {
    const auto program = std::filesystem::absolute(std::filesystem::path(CODMOE_BINARY_DIR) / "bin" / name).string();
    arguments.insert(arguments.begin(), program);
    std::vector<char*> words;
    for (auto& argument : arguments) words.push_back(argument.data());
    words.push_back(nullptr);
    const auto log_name = log.string();
    id_ = ::fork();
    if (id_ != 0) return;
    const int file = ::open(log_name.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ::dup2(file, STDOUT_FILENO);
    ::dup2(file, STDERR_FILENO);
    ::execv(program.c_str(), words.data());
    ::_exit(127);
  }
  ~Child() { kill(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t id() const { return id_; }
  /// The exit code, once it ended by itself.
  std::optional<int> ended() {
    int status = 0;
    if (id_ <= 0 || ::waitpid(id_, &status, WNOHANG) == 0) return code_;
    id_ = 0;
    return code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  void kill() {
    if (id_ <= 0) return;
    ::kill(id_, SIGKILL);
    ::waitpid(id_, nullptr, 0);
    id_ = 0;
  }
  /// Until `condition` or the end; whether it still runs.
  template <class Condition>
  bool wait_for(const Condition& condition) {
    while (!ended()) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    return false;
  }

 private:
  pid_t id_ = 0;
  std::optional<int> code_;
};

}  // namespace codmoe::test
