// What a timed call finds in the device's caches.
#pragma once

#include "benchmarks/timing.h"

namespace codmoe::bench {

enum class Inputs {
  warm,  ///< as the calls before left them: what is small enough lies in the last-level cache (a GPU's L2)
  cold   ///< input and weights lie in memory: other data were written over the caches since they were used
};
constexpr auto enum_names(Inputs) { return core::names<Inputs>({{"warm", Inputs::warm}, {"cold", Inputs::cold}}); }

/// Twice the L2 of a GPU; on the CPU 128 MiB: twice the caches of most, and more than the cores' own caches of all.
int64_t eviction_bytes(const c10::Device& device);

/// What writes eviction_bytes() of memory that nothing else uses, at each call; on a GPU queued on the current stream.
std::function<void()> eviction(const c10::Device& device);

/// The same workload on cold inputs: `evict` is the last step before each call, and not timed.
Workload cold(const Workload& workload, std::function<void()> evict);

}  // namespace codmoe::bench
