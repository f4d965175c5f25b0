#include "benchmarks/graph.h"

#include <c10/util/Exception.h>

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <memory>

#include "codmoe/core/device.h"
#endif

namespace codmoe::bench {

bool can_capture(moe::Dispatch dispatch, const c10::Device& device) {
  return device.is_cuda() && (dispatch == moe::Dispatch::dense || dispatch == moe::Dispatch::fused);
}

#ifdef CODMOE_CUDA

Workload captured(const Workload& workload, const c10::Device& device) {
  auto graph = std::make_shared<at::cuda::CUDAGraph>();
  workload.prepare(0);
  core::synchronize(device);
  {
    // Not the default stream, which cannot be captured; what libraries allocate at a first call comes before.
    const c10::cuda::CUDAStreamGuard stream(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index()));
    for (int i = 0; i < 2; ++i) {
      workload.prepare(0);
      workload.call();
    }
    workload.prepare(0);
    core::synchronize(device);
    graph->capture_begin();
    workload.call();
    graph->capture_end();
    core::synchronize(device);
  }
  return {.sets = workload.sets, .prepare = workload.prepare, .call = [graph] { graph->replay(); }};
}

#else

Workload captured(const Workload&, const c10::Device&) { TORCH_CHECK(false, "this build has no CUDA"); }

#endif

}  // namespace codmoe::bench
