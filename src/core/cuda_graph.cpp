#include "codmoe/core/cuda_graph.h"

#include <c10/util/Exception.h>

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <array>
#include <mutex>
#include <optional>
#endif

namespace codmoe::core {

#ifdef CODMOE_CUDA

class SideStream::Guard {
 public:
  explicit Guard(c10::DeviceIndex device)
      : outer_(c10::cuda::getCurrentCUDAStream(device)), inner_(stream_of(device)), guard_(after(outer_, inner_)) {}
  ~Guard() { after(inner_, outer_); }
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
    : guard_(device.is_cuda() ? std::make_unique<Guard>(device.index()) : nullptr) {}

struct CudaGraph::Captured {
  at::cuda::CUDAGraph graph;
};

CudaGraph::CudaGraph(c10::Device device, const std::function<void()>& work, const CudaGraph* pool)
    : captured_(std::make_unique<Captured>()) {
  const c10::cuda::CUDAGuard guard(device);
  // Other threads may go on allocating page-locked memory, which a capture in the global mode would forbid them.
  captured_->graph.capture_begin(pool != nullptr ? pool->captured_->graph.pool() : at::cuda::MempoolId_t{0, 0},
                                 cudaStreamCaptureModeThreadLocal);
  try {
    work();
  } catch (...) {
    try {
      captured_->graph.capture_end();
    } catch (const c10::Error&) {
      // Says again that the capture has failed; what failed is on its way.
    }
    throw;
  }
  captured_->graph.capture_end();
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

#endif

SideStream::~SideStream() = default;
CudaGraph::~CudaGraph() = default;

}  // namespace codmoe::core
