#include "benchmarks/ceilings.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "benchmarks/timing.h"

namespace codmoe::bench {

namespace {

double best_seconds(const c10::Device& device, std::function<void()> call) {
  const auto timing = time_workload({.call = std::move(call)}, device, {.warmup = 5, .runs = 20, .seconds = 1.0});
  return timing.gpu_ms.value_or(timing.latency_ms.median) / 1e3;
}

double measure_flops(const c10::Device& device, Precision precision) {
  const int64_t n = device.is_cpu() ? 1024 : 8192;
  const auto a = at::randn({n, n}, at::TensorOptions(device).dtype(scalar_type(precision)));
  auto product = at::empty_like(a);
  const auto size = static_cast<double>(n);
  return 2 * size * size * size / best_seconds(device, [&] { at::mm_out(product, a, a); });
}

double measure_copy(const c10::Device& device) {
  const int64_t bytes = device.is_cpu() ? int64_t{1} << 27 : int64_t{1} << 30;
  const auto source = at::ones({bytes}, at::TensorOptions(device).dtype(at::kByte));
  auto target = at::empty_like(source);
  return 2 * static_cast<double>(bytes) / best_seconds(device, [&] { target.copy_(source); });
}

}  // namespace

Ceilings measure_ceilings(const c10::Device& device, Precision precision) {
  const at::NoGradGuard no_grad;
  return {.flops_per_s = measure_flops(device, precision), .bytes_per_s = measure_copy(device)};
}

double roofline_ms(const Work& work, const Ceilings& ceilings) {
  return 1e3 * std::max(work.flops / ceilings.flops_per_s, work.bytes / ceilings.bytes_per_s);
}

}  // namespace codmoe::bench
