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

std::unique_ptr<profiler::ProfilerResult> record(const std::function<void()>& call, const c10::Device& device,
                                                 int repeats) {
  const torch::profiler::impl::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO);
  const std::set<ActivityType> activities{ActivityType::CUDA};
  profiler::prepareProfiler(config, activities);
  call();
  core::synchronize(device);
  profiler::enableProfiler(config, activities);
  for (int i = 0; i < repeats; ++i) call();
  core::synchronize(device);
  return profiler::disableProfiler();
}

struct Span {
  uint64_t begin, end;
};

/// Part of the time from first to last in which at least one of `spans` lay.
double busy_share(std::vector<Span> spans) {
  std::ranges::sort(spans, {}, &Span::begin);
  uint64_t busy = 0, end = spans.front().begin;
  for (const auto& span : spans) {
    busy += span.end > end ? span.end - std::max(span.begin, end) : 0;
    end = std::max(end, span.end);
  }
  return static_cast<double>(busy) / static_cast<double>(end - spans.front().begin);
}

struct KernelTime {
  std::string name;
  int64_t count = 0;
  double ms = 0;
};

std::string table_of(std::vector<KernelTime> kernels, double repeats, double busy) {
  std::ranges::sort(kernels, std::greater(), &KernelTime::ms);
  double total = 0;
  for (const auto& kernel : kernels) total += kernel.ms / repeats;
  auto text = fmt::format("GPU busy {:.1f} %, {:.3f} ms of kernels a call\n{:>9} {:>6} {:>7}  kernel\n", 100 * busy,
                          total, "ms", "%", "count");
  for (std::size_t i = 0; i < std::min(shown_kernels, kernels.size()); ++i) {
    const auto& kernel = kernels[i];
    text += fmt::format("{:9.3f} {:6.1f} {:7.1f}  {}\n", kernel.ms / repeats, 100 * kernel.ms / repeats / total,
                        static_cast<double>(kernel.count) / repeats, kernel.name.substr(0, shown_name));
  }
  return text;
}

}  // namespace

std::string profile_kernels(const std::function<void()>& call, const c10::Device& device, int repeats,
                            const std::filesystem::path& file) {
  const auto result = record(call, device, repeats);
  std::map<std::string, KernelTime> by_name;
  std::vector<Span> spans;
  for (const auto& event : result->events()) {
    if (event.deviceType() != device.type() || event.durationNs() == 0) continue;
    auto& kernel = by_name[event.name()];
    kernel.name = event.name();
    kernel.count += 1;
    kernel.ms += static_cast<double>(event.durationNs()) / 1e6;
    spans.push_back({event.startNs(), event.endNs()});
  }
  if (spans.empty()) throw core::Error("--profile: no kernel was seen; it needs a CUDA device");
  result->save(file.string());
  std::vector<KernelTime> kernels;
  for (auto& [name, kernel] : by_name) kernels.push_back(std::move(kernel));
  return table_of(std::move(kernels), repeats, busy_share(std::move(spans)));
}

}  // namespace codmoe::bench
