// The processes that train together, one a rank, and what they compute together.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/util/intrusive_ptr.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace c10d {
class Store;
}  // namespace c10d

namespace codmoe::dist {

/// A collective that was begun. On CUDA the current stream waits for it, not the host.
using Pending = std::function<void()>;

/// Rows that go to each rank and come from it.
struct RowCounts {
  std::vector<int64_t> send, receive;  ///< [R] each
};

/// The ranks 0 … R-1 of a run. Every rank must make the same calls in the same order: each is a collective, which waits
/// for all. c10d carries them: NCCL for CUDA tensors, Gloo for those of the CPU and for messages between hosts.
///
/// CUDA tensors go through one communicator, on the current stream unless it says otherwise, and nothing waits for the
/// host, so that a captured CUDA graph can hold them (after they ran once).
class Group {
 public:
  /// Meets the others at `store`. `device`: where this rank's tensors lie.
  /// @throws core::Error where CUDA is asked for and the build has no NCCL
  Group(const c10::intrusive_ptr<c10d::Store>& store, int64_t rank, int64_t ranks, c10::Device device);
  ~Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  int64_t rank() const { return rank_; }
  int64_t ranks() const { return ranks_; }
  /// Of all ranks one writes the files and the log.
  bool leads() const { return rank_ == 0; }

  /// The sum over the ranks, in place: a contiguous tensor on the CPU or the device, the same bits on every rank.
  void sum(at::Tensor tensor);
  /// The same on a stream of its own. The tensor must not be touched before the returned call.
  Pending start_sum(at::Tensor tensor);
  /// Of rank `from`, in place.
  void broadcast(at::Tensor tensor, int64_t from = 0);
  /// Every rank's tensor, all of one size and dtype: [R, …].
  at::Tensor gather(const at::Tensor& tensor);
  /// Sends rows [N, …], of each rank's `send` in the order of the ranks, and returns what came: [M, …], of each rank's
  /// `receive`. What one rank receives of another must be what that one sends.
  at::Tensor exchange(const at::Tensor& rows, const RowCounts& counts);

  /// Messages between hosts, which wait for each other.
  int64_t largest(int64_t value);
  std::vector<std::string> gather(const std::string& text);
  void barrier() { largest(0); }

 private:
  class Backends;
  int64_t rank_, ranks_;
  std::unique_ptr<Backends> backends_;
};

}  // namespace codmoe::dist
