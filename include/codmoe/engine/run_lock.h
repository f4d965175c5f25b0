// One process at a time in a run folder.
#pragma once

#include <filesystem>

namespace codmoe::engine {

/// Holds `folder`/.lock from its construction to its end; the system lets go of it where the process is killed.
class RunLock {
 public:
  /// Makes the folder where there is none. @throws core::Error where another process holds it, which is named, or where
  /// the folder cannot be written in.
  explicit RunLock(const std::filesystem::path& folder);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  int file_;
};

}  // namespace codmoe::engine
