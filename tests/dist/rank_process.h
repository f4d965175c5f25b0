// Ranks as processes: forked, since loading LibTorch anew would take longer than a test.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <thread>

namespace codmoe::test {

/// Waits until `condition`, at most `limit`; whether it came.
template <class Condition>
bool wait_for(const Condition& condition, std::chrono::milliseconds limit = std::chrono::seconds(90)) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < end) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return condition();
}

inline std::string text_of(const std::filesystem::path& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// A process that calls `body` and exits with what it returns; what it prints goes to a file.
class RankProcess {
 public:
  RankProcess(std::filesystem::path log, const std::function<int()>& body) : log_(std::move(log)), id_(::fork()) {
    if (id_ != 0) return;
    const int file = ::open(log_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ::dup2(file, STDOUT_FILENO);
    ::dup2(file, STDERR_FILENO);
    ::_exit(body());
  }
  ~RankProcess() {
    if (code_) return;
    signal(SIGKILL);
    ::waitpid(id_, nullptr, 0);
  }
  RankProcess(const RankProcess&) = delete;
  RankProcess& operator=(const RankProcess&) = delete;

  pid_t id() const { return id_; }
  void signal(int number) const { ::kill(id_, number); }
  std::string log() const { return text_of(log_); }

  /// Its exit code once it has ended, 128 + N for signal N.
  std::optional<int> ended() {
    int status = 0;
    if (!code_ && ::waitpid(id_, &status, WNOHANG) == id_) {
      code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return code_;
  }
  /// The same; nothing where it has not ended in time.
  std::optional<int> wait(std::chrono::milliseconds limit = std::chrono::seconds(90)) {
    wait_for([&] { return ended().has_value(); }, limit);
    return code_;
  }

 private:
  std::filesystem::path log_;
  pid_t id_;
  std::optional<int> code_;
};

/// A port that nobody had a moment ago.
inline uint16_t free_port() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  socklen_t size = sizeof(address);
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  ::bind(socket, reinterpret_cast<sockaddr*>(&address), size);
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(socket);
  return ntohs(address.sin_port);
}

}  // namespace codmoe::test
