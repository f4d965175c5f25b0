// Work that never waits for the GPU, captured in a CUDA graph once and replayed without the host's cost of each kernel.
#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <memory>
#include <vector>

namespace codmoe::core {

/// For its lifetime, what this thread queues on a CUDA device goes to a stream of this scope's own, behind what the
/// thread's stream holds already; that stream goes on behind this one's. Where work is to be captured, calls before the
/// capture belong in such a scope too: the default stream can't be captured, and autograd's backward runs on the
/// streams of its forward. On the CPU it does nothing.
class SideStream {
 public:
  explicit SideStream(c10::Device device);
  ~SideStream();
  SideStream(const SideStream&) = delete;
  SideStream& operator=(const SideStream&) = delete;

 private:
  class Guard;
  std::unique_ptr<Guard> guard_;
};

/// A captured call.
class CudaGraph {
 public:
  /// Captures `work` on the current stream, which must not be the default one; nothing of it is executed. Tensors made
  /// within keep their addresses from replay to replay; graphs given the same `pool` share memory, and then must not be
  /// replayed at the same time. Memory that the allocator kept from earlier calls is given back first.
  /// @throws what `work` throws, and c10::Error without CUDA; core::Error where something in `work` has invalidated the
  ///   capture (it waited for the device), after which the process can't use the device.
  CudaGraph(c10::Device device, const std::function<void()>& work, const CudaGraph* pool = nullptr);
  ~CudaGraph();
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  /// On the current stream.
  void replay();

 private:
  void end_failed_capture();

  struct Captured;
  std::unique_ptr<Captured> captured_;
};

/// Graphs that share memory, and must be replayed one after the other on one stream. A replay may write over what
/// another graph of the pool left in its tensors: what is to survive that must be copied out, or lie in memory from
/// outside.
class GraphPool {
 public:
  explicit GraphPool(c10::Device device) : device_(device) {}
  /// As CudaGraph's constructor. The memory is given back with the last graph.
  std::shared_ptr<CudaGraph> capture(const std::function<void()>& work);

 private:
  c10::Device device_;
  std::vector<std::weak_ptr<CudaGraph>> graphs_;
};

}  // namespace codmoe::core
