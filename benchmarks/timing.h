// How long a call takes: latency by the host's clock, and the GPU's own time by events.
#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <optional>
#include <vector>

#include "codmoe/core/options.h"

namespace codmoe::bench {

struct TimingOptions {
  int64_t warmup = 2;    ///< calls on every set of inputs before the first timed one
  int64_t runs = 100;    ///< timed calls, rounded up to whole rounds over the sets of inputs
  double seconds = 4.0;  ///< no further round begins after this long; the first is always completed

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("warmup", warmup, core::at_least(1));
    visit("runs", runs, core::at_least(1));
    visit("seconds", seconds, core::above(0.0));
  }
};

/// What is timed, on one or more sets of inputs that take turns.
struct Workload {
  int64_t sets = 1;
  std::function<void(int64_t)> prepare = [](int64_t) {};  ///< brings the inputs of one set into place; not timed
  std::function<void()> call = [] {};
};

struct Spread {
  double median = 0, p95 = 0, min = 0;
};

/// Order statistics of at least one sample, linearly interpolated (NumPy's default).
Spread summarize(std::vector<double> samples);

struct Timing {
  /// From call to completion, by the host's clock, with a GPU that was idle at the call.
  Spread latency_ms;
  int64_t runs = 0;
  /// GPU only: median between two events around the call, queued behind a delay kernel.
  std::optional<double> gpu_ms = std::nullopt;
  /// The whole call was queued before the delay ended, so that `gpu_ms` holds no waiting for the host. False for a call
  /// that synchronises with the host.
  bool queued = false;
  /// GPU only: most memory that tensors held at once, over the latency runs, in bytes (inputs and weights included).
  std::optional<int64_t> peak_bytes = std::nullopt;
};

/// Calls that do the same, to be compared: they take turns, so that a machine that slows down or is interrupted slows
/// all of them. options.seconds is a workload's share. At least one workload; timings in their order.
std::vector<Timing> time_workloads(const std::vector<Workload>& workloads, const c10::Device& device,
                                   const TimingOptions& options);
Timing time_workload(const Workload& workload, const c10::Device& device, const TimingOptions& options);

}  // namespace codmoe::bench
