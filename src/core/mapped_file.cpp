#include "mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "codmoe/core/error.h"

namespace codmoe::core {

MappedFile::MappedFile(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status {};
  void* pages = MAP_FAILED;
  if (fd >= 0 && ::fstat(fd, &status) == 0 && status.st_size > 0) {
    size_ = static_cast<uint64_t>(status.st_size);
    pages = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
  }
  const auto reason = errno;
  if (fd >= 0) ::close(fd);  // the mapping outlives it
  if (pages == MAP_FAILED) throw Error(fmt::format("cannot map {}: {}", path.string(), std::strerror(reason)));
  data_ = static_cast<char*>(pages);
}

MappedFile::~MappedFile() { ::munmap(data_, size_); }

}  // namespace codmoe::core
