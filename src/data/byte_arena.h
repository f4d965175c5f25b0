// Memory that is filled piece by piece by several threads, emptied as a whole and filled again.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <mutex>
#include <vector>

namespace codmoe::data {

class ByteArena {
 public:
  explicit ByteArena(bool pinned) : pinned_(pinned) {}

  struct Room {
    uint8_t* bytes;
    int64_t offset;  ///< in what used() gives, laid end to end
  };
  /// Room for so many bytes, for the caller alone. Takes new memory only where the arena was never so full before.
  Room take(int64_t bytes);
  /// What is taken: uint8 [N] each. Not while another thread takes room.
  std::vector<at::Tensor> used() const;
  /// Nothing is taken any more; the memory stays, in one piece from now on.
  void clear();

 private:
  struct Chunk {
    at::Tensor memory;
    int64_t begin;  // offset of its first byte
    int64_t used;
  };
  void add_chunk(int64_t bytes);

  const bool pinned_;
  std::mutex mutex_;
  int64_t capacity_ = 0;
  std::vector<Chunk> chunks_;  // room is taken of the last
};

}  // namespace codmoe::data
