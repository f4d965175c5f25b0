// A 64-bit hash of bytes, fast enough for pixels; not for use against an adversary.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace codmoe::core {

/// FNV-1a by words instead of bytes, and with the upper half folded in, which a product leaves out of the lower. Each
/// step is one to one, so a change of a single word always shows.
class Hash {
 public:
  void add(uint64_t word) {
    state_ = (state_ ^ word) * 0x100000001b3;
    state_ ^= state_ >> 32;
  }
  /// The number of bytes, then the bytes.
  void add(const void* bytes, std::size_t size) {
    const auto* at = static_cast<const char*>(bytes);
    add(size);
    for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t), at += sizeof(uint64_t)) add_word(at, sizeof(uint64_t));
    add_word(at, size);
  }
  uint64_t value() const { return state_; }

 private:
  void add_word(const char* bytes, std::size_t size) {
    uint64_t word = 0;
    if (size > 0) std::memcpy(&word, bytes, size);
    add(word);
  }

  uint64_t state_ = 0xcbf29ce484222325;
};

}  // namespace codmoe::core
