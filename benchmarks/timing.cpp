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

/// Takes `sample(i)` of every workload on every set of its inputs in turn; samples by workload.
template <class Sample>
std::vector<std::vector<double>> sample_rounds(const std::vector<Workload>& workloads, const TimingOptions& options,
                                               Sample&& sample) {
  std::vector<std::vector<double>> samples(workloads.size());
  const auto start = Clock::now();
  const double limit_ms = options.seconds * 1e3 * static_cast<double>(workloads.size());
  const int64_t sets = std::ranges::max(workloads, {}, &Workload::sets).sets;
  const int64_t rounds = (options.runs + sets - 1) / sets;
  for (int64_t round = 0; round < rounds && (round == 0 || ms_since(start) < limit_ms); ++round) {
    for (std::size_t i = 0; i < workloads.size(); ++i) {
      for (int64_t set = 0; set < workloads[i].sets; ++set) {
        workloads[i].prepare(set);
        samples[i].push_back(sample(i));
      }
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

/// One sample of the GPU's own time. `timing.queued` says whether a delay still helps, and is cleared where it doesn't.
double gpu_ms(const Workload& workload, const c10::Device& device, Timing& timing) {
  const c10::impl::VirtualGuardImpl backend(device.type());
  const auto stream = backend.getStream(device);
  c10::Event begin(device.type(), c10::EventFlag::BACKEND_DEFAULT), end(device.type(), c10::EventFlag::BACKEND_DEFAULT);
  // Queueing a call takes the host no longer than waiting for its result did.
  if (timing.queued) {
    delay(device, 1.0 + 1.2 * timing.latency_ms.p95);
  } else {
    core::synchronize(device);  // or the host would gain time while the GPU is busy with what `prepare` queued
  }
  begin.record(stream);
  workload.call();
  end.record(stream);
  if (begin.query()) timing.queued = false;  // the call waited for the GPU: a delay does not help
  end.synchronize();
  return begin.elapsedTime(end);
}

/// Most memory that tensors held since this was made, in bytes; nothing on the CPU.
class PeakMemory {
 public:
  explicit PeakMemory(const c10::Device& device)
      : device_(device), allocator_(device.is_cpu() ? nullptr : c10::getDeviceAllocator(device.type())) {
    if (allocator_ != nullptr) allocator_->resetPeakStats(device.index());
  }
  std::optional<int64_t> bytes() const {
    if (allocator_ == nullptr) return std::nullopt;
    using c10::CachingAllocator::StatType;
    const auto stats = allocator_->getDeviceStats(device_.index());
    return stats.allocated_bytes[static_cast<std::size_t>(StatType::AGGREGATE)].peak;
  }

 private:
  c10::Device device_;
  c10::DeviceAllocator* allocator_;
};

}  // namespace

Spread summarize(std::vector<double> samples) {
  TORCH_CHECK(!samples.empty(), "summarize: no samples");
  std::ranges::sort(samples);
  return {.median = quantile(samples, 0.5), .p95 = quantile(samples, 0.95), .min = samples.front()};
}

Timing time_workload(const Workload& workload, const c10::Device& device, const TimingOptions& options) {
  return time_workloads({workload}, device, options).front();
}

std::vector<Timing> time_workloads(const std::vector<Workload>& workloads, const c10::Device& device,
                                   const TimingOptions& options) {
  if (!device.is_cpu()) at::globalContext().lazyInitDevice(device.type());  // the allocator's statistics need it
  for (const auto& workload : workloads) warm_up(workload, options);
  core::synchronize(device);

  std::vector<Timing> timings(workloads.size());
  const auto latencies = sample_rounds(workloads, options, [&](std::size_t i) {
    const PeakMemory peak(device);
    const double ms = latency_ms(workloads[i], device);
    timings[i].peak_bytes = std::max(timings[i].peak_bytes, peak.bytes());
    return ms;
  });
  for (std::size_t i = 0; i < workloads.size(); ++i) {
    timings[i].latency_ms = summarize(latencies[i]);
    timings[i].runs = static_cast<int64_t>(latencies[i].size());
    timings[i].queued = can_delay(device);
  }
  if (!can_delay(device)) return timings;
  const auto gpu_times =
      sample_rounds(workloads, options, [&](std::size_t i) { return gpu_ms(workloads[i], device, timings[i]); });
  for (std::size_t i = 0; i < workloads.size(); ++i) timings[i].gpu_ms = summarize(gpu_times[i]).median;
  return timings;
}

}  // namespace codmoe::bench
