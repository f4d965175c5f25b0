// Calls that never wait for the GPU, replayed from a CUDA graph.
#pragma once

#include "benchmarks/timing.h"
#include "codmoe/moe/dispatch.h"

namespace codmoe::bench {

enum class Launch {
  eager,  ///< the host queues every kernel at each call
  graph   ///< the call is captured in a CUDA graph once, and replayed
};
constexpr auto enum_names(Launch) { return core::names<Launch>({{"eager", Launch::eager}, {"graph", Launch::graph}}); }

/// Whether a pass of this strategy can be captured: it must not read its routes on the host.
bool can_capture(moe::Dispatch dispatch, const c10::Device& device);

/// The same workload, its call captured after two ordinary calls on the first set of inputs. Inputs that `prepare`
/// brings into place are seen, as long as it writes them to the same memory.
Workload captured(const Workload& workload, const c10::Device& device);

}  // namespace codmoe::bench
