#include "benchmarks/profile.h"

#include <fmt/format.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include <algorithm>
#include <map>
#include <vector>

#include "codmoe/core/device.h"
#include "codmoe/core/error.h"

namespace codmoe::bench {

namespace {

namespace profiler = torch::autograd::profiler;
using torch::profiler::impl::ActivityType;

constexpr std::size_t shown_kernels = 60;
constexpr std::size_t shown_name = 150;

/// The profiler makes the host wait for milliseconds in the first calls; the GPU then waits for the host.
constexpr int late_calls = 2;

std::unique_ptr<profiler::ProfilerResult> record(const std::function<void()>& call, const c10::Device& device,
                                                 int calls) {
  const torch::profiler::impl::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO);
  const std::set<ActivityType> activities{ActivityType::CUDA};
  profiler::prepareProfiler(config, activities);
  call();
  core::synchronize(device);
  profiler::enableProfiler(config, activities);
  for (int i = 0; i < calls; ++i) call();
  core::synchronize(device);
  return profiler::disableProfiler();
}

/// A kernel, or a copy or fill of memory; in nanoseconds.
struct Event {
  std::string name;
  uint64_t begin, end;
};

/// In the order of their begin, without those of the calls that were late, as all calls make as many.
std::vector<Event> events_of(const profiler::ProfilerResult& result, const c10::Device& device, int calls) {
  std::vector<Event> events;
  for (const auto& event : result.events()) {
    if (event.deviceType() != device.type() || event.durationNs() == 0) continue;
    events.push_back({event.name(), event.startNs(), event.endNs()});
  }
  std::ranges::sort(events, {}, &Event::begin);
  events.erase(events.begin(), events.begin() + static_cast<std::ptrdiff_t>(events.size()) * late_calls / calls);
  return events;
}

struct KernelTime {
  std::string name;
  int64_t count = 0;
  double ms = 0;
};

/// Of events that overlap the later one counts from the end of the earlier one, so that the sum is the time in which
/// the GPU was busy.
std::vector<KernelTime> times_of(const std::vector<Event>& events) {
  std::map<std::string, KernelTime> by_name;
  uint64_t end = 0;
  for (const auto& event : events) {
    auto& kernel = by_name[event.name];
    kernel.name = event.name;
    kernel.count += 1;
    kernel.ms += event.end > end ? static_cast<double>(event.end - std::max(event.begin, end)) / 1e6 : 0.0;
    end = std::max(end, event.end);
  }
  std::vector<KernelTime> times;
  for (auto& [name, kernel] : by_name) times.push_back(std::move(kernel));
  std::ranges::sort(times, std::greater(), &KernelTime::ms);
  return times;
}

std::string table_of(const std::vector<KernelTime>& kernels, double calls, double span_ms) {
  double busy = 0;
  for (const auto& kernel : kernels) busy += kernel.ms;
  auto text = fmt::format("GPU busy {:.1f} %, {:.3f} ms of kernels a call\n{:>9} {:>6} {:>7}  kernel\n",
                          100 * busy / span_ms, busy / calls, "ms", "%", "count");
  for (std::size_t i = 0; i < std::min(shown_kernels, kernels.size()); ++i) {
    const auto& kernel = kernels[i];
    text += fmt::format("{:9.3f} {:6.1f} {:7.1f}  {}\n", kernel.ms / calls, 100 * kernel.ms / busy,
                        static_cast<double>(kernel.count) / calls, kernel.name.substr(0, shown_name));
  }
  return text;
}

}  // namespace

std::string profile_kernels(const std::function<void()>& call, const c10::Device& device, int repeats,
                            const std::filesystem::path& file) {
  const int calls = repeats + late_calls;
  const auto result = record(call, device, calls);
  const auto events = events_of(*result, device, calls);
  if (events.empty()) throw core::Error("--profile: no kernel was seen; it needs a CUDA device");
  result->save(file.string());
  const auto end = std::ranges::max(events, {}, &Event::end).end;
  return table_of(times_of(events), repeats, static_cast<double>(end - events.front().begin) / 1e6);
}

}  // namespace codmoe::bench
