#include "codmoe/engine/run_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "codmoe/core/error.h"

namespace codmoe::engine {

namespace {

namespace fs = std::filesystem;

/// What the holder wrote: "process 123 on HOST".
std::string holder_of(int file) {
  std::array<char, 320> text{};
  const auto length = ::pread(file, text.data(), text.size() - 1, 0);
  return length > 0 ? std::string(text.data(), static_cast<std::size_t>(length)) : "another process";
}

/// Helps the message of another process alone: that it cannot be written is no reason to stop.
void write_holder(int file) {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host = {"this machine"};
  const auto text = fmt::format("process {} on {}", ::getpid(), host.data());
  const bool written = ::ftruncate(file, 0) == 0 && ::pwrite(file, text.data(), text.size(), 0) >= 0;
  if (!written) spdlog::debug("cannot write the lock's holder: {}", std::strerror(errno));
}

}  // namespace

RunLock::RunLock(const fs::path& folder) : file_(-1) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw core::Error(fmt::format("cannot make the run folder {}: {}", folder.string(), error.message()));
  const auto path = folder / ".lock";
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file_ < 0) throw core::Error(fmt::format("cannot write in {}: {}", folder.string(), std::strerror(errno)));
  if (::flock(file_, LOCK_EX | LOCK_NB) == 0) {
    write_holder(file_);
    return;
  }
  const auto reason = errno;
  const auto holder = holder_of(file_);
  if (reason == EWOULDBLOCK) {
    ::close(file_);
    throw core::Error(
        fmt::format("{}: {} trains here; wait for its end or name another --output", folder.string(), holder));
  }
  spdlog::warn("{}: cannot be locked against a second run: {}", folder.string(), std::strerror(reason));
}

RunLock::~RunLock() { ::close(file_); }

}  // namespace codmoe::engine
