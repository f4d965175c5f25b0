#include "benchmarks/timing.h"

#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Event.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "benchmarks/delay.h"
#include "codmoe/core/device.h"

namespace codmoe::bench {

namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double quantile(const std::vector<double>& sorted, double q) {
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const auto above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (position - std::floor(position)) * (sorted[above] - sorted[below]);
}

/// Takes `sample()` on every set of inputs in turn.
template <class Sample>
std::vector<double> sample_rounds(const Workload& workload, const TimingOptions& options, Sample&& sample) {
  std::vector<double> samples;
  const auto start = Clock::now();
  const int64_t rounds = (options.runs + workload.sets - 1) / workload.sets;
  for (int64_t round = 0; round < rounds && (round == 0 || ms_since(start) < options.seconds * 1e3); ++round) {
    for (int64_t set = 0; set < workload.sets; ++set) {
      workload.prepare(set);
      samples.push_back(sample());
    }
  }
  return samples;
}

void warm_up(const Workload& workload, const TimingOptions& options) {
  for (int64_t i = 0; i < options.warmup * workload.sets; ++i) {
    workload.prepare(i % workload.sets);
    workload.call();
  }
}

double latency_ms(const Workload& workload, const c10::Device& device) {
  core::synchronize(device);
  const auto start = Clock::now();
  workload.call();
  core::synchronize(device);
  return ms_since(start);
}

/// Adds `gpu_ms` and `queued` to `timing`.
void time_gpu(const Workload& workload, const c10::Device& device, const TimingOptions& options, Timing& timing) {
  const c10::impl::VirtualGuardImpl backend(device.type());
  // Queueing a call takes the host no longer than waiting for its result did.
  const double delay_ms = 1.0 + 1.2 * timing.latency_ms.p95;
  timing.queued = true;
  const auto samples = sample_rounds(workload, options, [&] {
    const auto stream = backend.getStream(device);
    c10::Event begin(device.type(), c10::EventFlag::BACKEND_DEFAULT),
        end(device.type(), c10::EventFlag::BACKEND_DEFAULT);
    if (timing.queued) delay(device, delay_ms);
    begin.record(stream);
    workload.call();
    end.record(stream);
    if (begin.query()) timing.queued = false;  // the call waited for the GPU: a delay does not help
    end.synchronize();
    return begin.elapsedTime(end);
  });
  timing.gpu_ms = summarize(samples).median;
}

}  // namespace

Spread summarize(std::vector<double> samples) {
  TORCH_CHECK(!samples.empty(), "summarize: no samples");
  std::ranges::sort(samples);
  return {.median = quantile(samples, 0.5), .p95 = quantile(samples, 0.95), .min = samples.front()};
}

Timing time_workload(const Workload& workload, const c10::Device& device, const TimingOptions& options) {
  if (!device.is_cpu()) at::globalContext().lazyInitDevice(device.type());  // the allocator's statistics need it
  warm_up(workload, options);
  core::synchronize(device);
  auto* allocator = device.is_cpu() ? nullptr : c10::getDeviceAllocator(device.type());
  if (allocator != nullptr) allocator->resetPeakStats(device.index());

  const auto samples = sample_rounds(workload, options, [&] { return latency_ms(workload, device); });
  Timing timing{.latency_ms = summarize(samples), .runs = static_cast<int64_t>(samples.size())};
  if (allocator != nullptr) {
    using c10::CachingAllocator::StatType;
    const auto stats = allocator->getDeviceStats(device.index());
    timing.peak_bytes = stats.allocated_bytes[static_cast<std::size_t>(StatType::AGGREGATE)].peak;
  }
  if (can_delay(device)) time_gpu(workload, device, options, timing);
  return timing;
}

}  // namespace codmoe::bench
