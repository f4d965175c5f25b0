// A file's pages as memory.
#pragma once

#include <cstdint>
#include <filesystem>

namespace codmoe::core {

class MappedFile {
 public:
  /// @throws Error naming the path where it cannot be mapped.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  /// What is written there stays in this process.
  char* data() const { return data_; }
  uint64_t size() const { return size_; }

 private:
  char* data_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace codmoe::core
