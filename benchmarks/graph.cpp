#include "benchmarks/graph.h"

#include <memory>

#include "codmoe/core/cuda_graph.h"
#include "codmoe/core/device.h"

namespace codmoe::bench {

bool can_capture(moe::Dispatch dispatch, const c10::Device& device) {
  return device.is_cuda() && (dispatch == moe::Dispatch::dense || dispatch == moe::Dispatch::fused);
}

Workload captured(const Workload& workload, const c10::Device& device) {
  const core::SideStream stream(device);
  for (int i = 0; i < 2; ++i) {  // what libraries allocate at a first call comes before
    workload.prepare(0);
    workload.call();
  }
  workload.prepare(0);
  core::synchronize(device);
  const auto graph = std::make_shared<core::CudaGraph>(device, workload.call);
  core::synchronize(device);
  return {.sets = workload.sets, .prepare = workload.prepare, .call = [graph] { graph->replay(); }};
}

}  // namespace codmoe::bench
