#include "byte_arena.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

namespace codmoe::data {

namespace {

constexpr int64_t least_chunk = 1 << 20;

}  // namespace

void ByteArena::add_chunk(int64_t bytes) {
  const auto begin = chunks_.empty() ? 0 : chunks_.back().begin + chunks_.back().used;
  chunks_.push_back({at::empty({bytes}, at::TensorOptions(at::kByte).pinned_memory(pinned_)), begin, 0});
  capacity_ += bytes;
}

ByteArena::Room ByteArena::take(int64_t bytes) {
  const std::scoped_lock lock(mutex_);
  if (chunks_.empty() || chunks_.back().memory.numel() - chunks_.back().used < bytes) {
    add_chunk(std::max({bytes, capacity_, least_chunk}));  // twice as much each time
  }
  auto& chunk = chunks_.back();
  const Room room{chunk.memory.mutable_data_ptr<uint8_t>() + chunk.used, chunk.begin + chunk.used};
  chunk.used += bytes;
  return room;
}

std::vector<at::Tensor> ByteArena::used() const {
  std::vector<at::Tensor> parts;
  for (const auto& chunk : chunks_) parts.push_back(chunk.memory.narrow(0, 0, chunk.used));
  return parts;
}

void ByteArena::clear() {
  const std::scoped_lock lock(mutex_);
  if (chunks_.size() > 1) {
    const auto bytes = std::exchange(capacity_, 0);
    chunks_.clear();
    add_chunk(bytes);
  }
  if (!chunks_.empty()) chunks_.front().used = 0;
}

}  // namespace codmoe::data
