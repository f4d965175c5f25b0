#include "codmoe/dist/shards.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <numeric>

#include "memory_order.h"

namespace codmoe::dist {

/// Tensors of one owner that are sent together, as bytes: dtypes may differ.
struct Shards::Piece {
  int64_t owner = 0;
  at::Tensor flat;
  std::vector<at::Tensor> tensors = {}, views = {};
};

namespace {

/// Views of the buffer begin at multiples of 16 bytes, the widest that a kernel loads at once.
int64_t padded_bytes(const at::Tensor& tensor) {
  constexpr int64_t alignment = 16;
  return (static_cast<int64_t>(tensor.nbytes()) + alignment - 1) / alignment * alignment;
}

std::vector<int64_t> share_out(const std::vector<at::Tensor>& tensors, int64_t ranks) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater{}, [&](auto i) { return tensors[i].nbytes(); });
  std::vector<int64_t> owners(tensors.size()), loads(static_cast<std::size_t>(ranks));
  for (const auto i : order) {
    const auto least = std::ranges::min_element(loads);
    *least += padded_bytes(tensors[i]);
    owners[i] = least - loads.begin();
  }
  return owners;
}

int64_t buffer_bytes(const std::vector<at::Tensor>& tensors, const std::vector<int64_t>& owners, int64_t ranks,
                     int64_t bytes) {
  if (ranks == 1) return 0;
  std::vector<int64_t> parts(static_cast<std::size_t>(ranks));
  int64_t largest = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    parts[static_cast<std::size_t>(owners[i])] += padded_bytes(tensors[i]);
    largest = std::max(largest, padded_bytes(tensors[i]));
  }
  return std::clamp(bytes, largest, *std::ranges::max_element(parts));
}

std::vector<std::size_t> all_of(const std::vector<at::Tensor>& tensors) {
  std::vector<std::size_t> indices(tensors.size());
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

}  // namespace

Shards::Shards(Group& group, const std::vector<at::Tensor>& tensors, int64_t bytes)
    : group_(group), tensors_(tensors), owners_(share_out(tensors, group.ranks())) {
  TORCH_CHECK(!tensors.empty(), "there is nothing to share out");
  buffer_ = at::zeros({buffer_bytes(tensors, owners_, group.ranks(), bytes)},
                      at::device(tensors.front().device()).dtype(at::kByte));
  choose(all_of(tensors));
}

Shards::~Shards() = default;

void Shards::choose(std::vector<std::size_t> which) {
  pieces_.clear();
  if (group_.ranks() == 1) return;
  std::ranges::stable_sort(which, {}, [&](auto i) { return owners_[i]; });
  for (const auto i : which) add(i);
}

void Shards::add(std::size_t i) {
  const auto& tensor = tensors_[i];
  if (tensor.numel() == 0) return;
  const auto end = padded_bytes(tensor) + (pieces_.empty() ? 0 : pieces_.back().flat.numel());
  if (pieces_.empty() || pieces_.back().owner != owners_[i] || end > buffer_.numel()) {
    pieces_.push_back({.owner = owners_[i], .flat = buffer_.narrow(0, 0, 0)});
  }
  auto& piece = pieces_.back();
  const auto begin = piece.flat.numel();
  const auto bytes = buffer_.narrow(0, begin, static_cast<int64_t>(tensor.nbytes()));
  piece.tensors.push_back(tensor);
  piece.views.push_back(in_order_of(bytes.view(tensor.scalar_type()), tensor));
  piece.flat = buffer_.narrow(0, 0, begin + padded_bytes(tensor));
}

void Shards::send() {
  const at::NoGradGuard no_grad;
  for (auto& piece : pieces_) {
    const bool own = piece.owner == group_.rank();
    if (own) at::_foreach_copy_(piece.views, piece.tensors);
    group_.broadcast(piece.flat, piece.owner);
    if (!own) at::_foreach_copy_(piece.tensors, piece.views);
  }
}

}  // namespace codmoe::dist
