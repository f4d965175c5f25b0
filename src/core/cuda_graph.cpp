#include "codmoe/core/cuda_graph.h"

#include <c10/util/Exception.h>

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <array>
#include <mutex>
#include <optional>

#include "codmoe/core/device.h"
#include "codmoe/core/error.h"
#include "cuda/fill_nodes.h"
#endif

namespace codmoe::core {

#ifdef CODMOE_CUDA

class SideStream::Guard {
 public:
  explicit Guard(c10::DeviceIndex device)
      : outer_(c10::cuda::getCurrentCUDAStream(device)), inner_(stream_of(device)), guard_(after(outer_, inner_)) {}
  ~Guard() {
    try {
      after(inner_, outer_);
    } catch (const c10::Error& error) {  // the device has failed: the next call on it says so too
      spdlog::error("{}", error.what_without_backtrace());
    }
  }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  /// One stream a device for all scopes: memory that a scope freed is the next one's without waiting.
  static c10::cuda::CUDAStream stream_of(c10::DeviceIndex device) {
    static std::array<std::optional<c10::cuda::CUDAStream>, C10_COMPILE_TIME_MAX_GPUS> streams;
    static std::mutex mutex;
    const std::scoped_lock lock(mutex);
    auto& stream = streams.at(static_cast<std::size_t>(device));
    if (!stream) stream = c10::cuda::getStreamFromPool(/*isHighPriority=*/true, device);
    return *stream;
  }

  static c10::cuda::CUDAStream after(c10::cuda::CUDAStream first, c10::cuda::CUDAStream second) {
    at::cuda::CUDAEvent done;
    done.record(first);
    done.block(second);
    return second;
  }

  c10::cuda::CUDAStream outer_, inner_;
  c10::cuda::CUDAStreamGuard guard_;
};

SideStream::SideStream(c10::Device device)
    : guard_(device.is_cuda()
                 ? std::make_unique<Guard>(device.has_index() ? device.index() : c10::cuda::current_device())
                 : nullptr) {}

struct CudaGraph::Captured {
  at::cuda::CUDAGraph graph{/*keep_graph=*/true};  // or it couldn't be changed before it is instantiated
};

void CudaGraph::end_failed_capture() {
  try {
    captured_->graph.capture_end();
  } catch (const c10::Error& error) {
    // LibTorch 2.11 leaves allocator and random numbers in the middle of the capture then, and they must outlive it.
    [[maybe_unused]] const auto* kept = captured_.release();
    throw Error(
        fmt::format("a CUDA graph was invalidated in the middle of its capture, after which this process can't go "
                    "on: {}",
                    error.what_without_backtrace()));
  }
}

CudaGraph::CudaGraph(c10::Device device, const std::function<void()>& work, const CudaGraph* pool)
    : captured_(std::make_unique<Captured>()) {
  const c10::cuda::CUDAGuard guard(device);
  // What eager calls left in the allocator can't be used by a graph.
  synchronize(device);
  release_memory(device);
  // Other threads may go on allocating page-locked memory, which a capture in the global mode would forbid them.
  captured_->graph.capture_begin(pool != nullptr ? pool->captured_->graph.pool() : at::cuda::MempoolId_t{0, 0},
                                 cudaStreamCaptureModeThreadLocal);
  try {
    work();
  } catch (...) {
    end_failed_capture();
    throw;
  }
  captured_->graph.capture_end();
  C10_CUDA_CHECK(cuda::fill_by_kernels(captured_->graph.raw_cuda_graph()));
  captured_->graph.instantiate();
}

void CudaGraph::replay() { captured_->graph.replay(); }

#else

class SideStream::Guard {};
SideStream::SideStream(c10::Device) {}

struct CudaGraph::Captured {};
CudaGraph::CudaGraph(c10::Device, const std::function<void()>&, const CudaGraph*) {
  TORCH_CHECK(false, "this build has no CUDA");
}
void CudaGraph::replay() {}
void CudaGraph::end_failed_capture() {}

#endif

SideStream::~SideStream() = default;
CudaGraph::~CudaGraph() = default;

std::shared_ptr<CudaGraph> GraphPool::capture(const std::function<void()>& work) {
  // Of a graph that lives: LibTorch has no way back to memory whose last graph is gone.
  std::erase_if(graphs_, [](const auto& graph) { return graph.expired(); });
  const auto other = graphs_.empty() ? nullptr : graphs_.front().lock();
  auto graph = std::make_shared<CudaGraph>(device_, work, other.get());
  graphs_.push_back(graph);
  return graph;
}

}  // namespace codmoe::core
