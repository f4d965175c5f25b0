#include "codmoe/core/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <regex>
#include <sstream>
#include <vector>

#include "codmoe/core/error.h"

namespace codmoe::core {

namespace {

[[noreturn]] void fail(const char* action, const std::filesystem::path& path) {
  throw Error(fmt::format("cannot {} {}: {}", action, path.string(), std::strerror(errno)));
}

/// Closes on every way out.
class Descriptor {
 public:
  Descriptor(const std::filesystem::path& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

void write_all(int fd, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const auto written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("write", path);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

void make_folder(const std::filesystem::path& folder) {
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  if (failure) throw Error(fmt::format("cannot make the folder {}: {}", folder.string(), failure.message()));
}

void sync_folder(const std::filesystem::path& folder) {
  const Descriptor descriptor(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY);
  if (descriptor.get() < 0 || ::fsync(descriptor.get()) != 0) fail("sync", folder);
}

void write_file_atomically(const std::filesystem::path& path, std::string_view bytes, Durable durable) {
  write_file_atomically(path, std::span(&bytes, 1), durable);
}

void write_file_atomically(const std::filesystem::path& path, std::span<const std::string_view> pieces,
                           Durable durable) {
  auto beside = path;
  beside += fmt::format(".tmp-{}", ::getpid());
  try {
    const Descriptor descriptor(beside, O_WRONLY | O_CREAT | O_TRUNC);
    if (descriptor.get() < 0) fail("write", path);
    for (const auto piece : pieces) write_all(descriptor.get(), piece, path);
    if (durable == Durable::yes && ::fsync(descriptor.get()) != 0) fail("write", path);
    if (::rename(beside.c_str(), path.c_str()) != 0) fail("write", path);
  } catch (...) {
    ::unlink(beside.c_str());
    throw;
  }
  if (durable == Durable::yes) sync_folder(path.parent_path());
}

void remove_unfinished(const std::filesystem::path& folder) {
  static const std::regex written_beside(R"(\.tmp-[0-9]+(-old)?$)");
  std::vector<std::filesystem::path> unfinished;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (std::regex_search(entry.path().filename().string(), written_beside)) unfinished.push_back(entry.path());
  }
  for (const auto& path : unfinished) std::filesystem::remove_all(path);
}

std::string read_file(const std::filesystem::path& path) {
  std::error_code unknown;                             // of links in a circle, say: opening them says why
  if (std::filesystem::is_directory(path, unknown)) {  // a stream opens one without complaint
    errno = EISDIR;
    fail("read", path);
  }
  std::ifstream stream(path, std::ios::binary);
  if (!stream) fail("read", path);
  std::ostringstream bytes;
  bytes << stream.rdbuf();
  if (stream.bad()) fail("read", path);
  return std::move(bytes).str();
}

}  // namespace codmoe::core
