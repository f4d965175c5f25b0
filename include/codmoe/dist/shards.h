// Tensors that every rank holds, and one rank each works on.
#pragma once

#include "codmoe/dist/group.h"

namespace codmoe::dist {

/// Each tensor belongs to one rank, which makes its new values and sends them to all, so that the work, and what is
/// kept for it, is shared out. The largest first, each goes to the rank with the fewest bytes so far: whose it is
/// depends on the list alone. Nothing waits for the host. Source: Rajbhandari et al. 2020, ZeRO (stage 1).
class Shards {
 public:
  /// `tensors`: of one device, on every rank of the same sizes, strides and dtypes. They go through a buffer of about
  /// `bytes`, or of the largest of them, and at most of a rank's part. `group` must outlive the object.
  Shards(Group& group, const std::vector<at::Tensor>& tensors, int64_t bytes = 25 << 20);
  ~Shards();
  Shards(const Shards&) = delete;
  Shards& operator=(const Shards&) = delete;

  /// The rank that tensor `i` belongs to.
  int64_t owner(std::size_t i) const { return owners_[i]; }
  /// send() is of these from now on, at first of all. Graphs captured before stay valid.
  void choose(std::vector<std::size_t> which);
  /// The owners' values, bit for bit, to all ranks.
  void send();

 private:
  struct Piece;
  void add(std::size_t i);

  Group& group_;
  std::vector<at::Tensor> tensors_;
  std::vector<int64_t> owners_;
  at::Tensor buffer_;  // bytes; never another, since captured graphs hold its address
  std::vector<Piece> pieces_;
};

}  // namespace codmoe::dist
