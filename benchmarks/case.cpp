#include "benchmarks/case.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>

#include "codmoe/core/device.h"
#include "codmoe/core/seed.h"
#include "codmoe/nn/weights.h"

namespace codmoe::bench {

void SweepOptions::check() const {
  require_values("batch", batch);
  require_values("dtype", dtype);
  require_values("pass", pass);
}

std::string Case::text() const {
  return fmt::format("{} {} batch {}{}", core::name_of(precision), core::name_of(pass), batch,
                     inputs == Inputs::cold ? ", cold" : "");
}

void require_support(Precision precision, const c10::Device& device) {
  if (precision == Precision::tf32 && !device.is_cuda()) {
    throw core::UsageError("dtype: tf32 needs a CUDA device; allowed here are float32, bfloat16");
  }
}

void randomize_norms(torch::nn::Module& module) {
  for (auto& [key, tensor] : nn::state_dict(module)) {
    const std::string_view name = key;
    if (name.ends_with("norm.weight") || name.ends_with("norm.running_var")) tensor.uniform_(0.5, 1.5);
    if (name.ends_with("norm.bias") || name.ends_with("norm.running_mean")) tensor.normal_(0.0, 0.1);
  }
}

at::Tensor draw_images(int64_t seed, at::IntArrayRef shape, at::ScalarType dtype, const c10::Device& device) {
  core::seed_all(core::mix_seed(static_cast<uint64_t>(seed), 1));
  return at::randn(shape, at::kFloat).to(device, dtype);
}

at::Tensor draw_images(const CaseOptions& options, Precision precision, const c10::Device& device) {
  return draw_images(options.seed, {std::ranges::max(options.batch), options.dim, options.height, options.width},
                     scalar_type(precision), device);
}

Ceilings log_ceilings(const c10::Device& device, Precision precision) {
  const auto ceilings = measure_ceilings(device, precision);
  spdlog::info("{} on {}: {:.3g} TFLOP/s in a large product, {:.3g} GB/s in a large copy", core::name_of(precision),
               core::device_name(device), ceilings.flops_per_s / 1e12, ceilings.bytes_per_s / 1e9);
  return ceilings;
}

at::Tensor mean_squares(const std::vector<at::Tensor>& results) {
  at::Tensor sum;
  for (const auto& result : results) {
    const auto term = result.to(at::promote_types(at::kFloat, result.scalar_type())).square().mean();
    sum = sum.defined() ? sum + term : term;
  }
  return sum;
}

Workload pass_workload(Pass pass, torch::nn::Module& module, const at::Tensor& images_bchw, Forward forward,
                       const Training& training, const Workload& base) {
  module.train(pass == Pass::train && !training.frozen_norm);
  auto workload = base;
  if (pass == Pass::forward) {
    workload.call = [forward = std::move(forward), images_bchw] {
      const at::NoGradGuard no_grad;
      forward(images_bchw);
    };
    return workload;
  }
  const auto x_bchw = images_bchw.detach().requires_grad_(training.input_gradient);
  workload.prepare = [&module, x_bchw, place = base.prepare](int64_t set) {
    place(set);
    module.zero_grad();  // frees them
    x_bchw.mutable_grad() = at::Tensor();
  };
  workload.call = [forward = std::move(forward), x_bchw] { mean_squares(forward(x_bchw)).backward(); };
  return workload;
}

Record describe_case(const SweepOptions& options, const Case& which, const c10::Device& device) {
  const bool last = memory_format(options.memory_format, which.precision) == at::MemoryFormat::ChannelsLast;
  return {.device = core::device_name(device),
          .dtype = std::string(core::name_of(which.precision)),
          .memory_format = last ? "channels_last" : "contiguous",
          .pass = std::string(core::name_of(which.pass)),
          .inputs = std::string(core::name_of(which.inputs)),
          .batch = which.batch,
          .seed = options.seed};
}

Record describe_case(const CaseOptions& options, const Case& which, const c10::Device& device) {
  auto record = describe_case(static_cast<const SweepOptions&>(options), which, device);
  record.channels = options.dim;
  record.height = options.height;
  record.width = options.width;
  return record;
}

void add_timing(Record& record, const Timing& timing) {
  record.runs = timing.runs;
  record.median_ms = timing.latency_ms.median;
  record.p95_ms = timing.latency_ms.p95;
  record.min_ms = timing.latency_ms.min;
  record.gpu_ms = timing.gpu_ms;
  if (timing.gpu_ms) record.gpu_queued = timing.queued;
  record.images_per_s = 1e3 * static_cast<double>(record.batch) / timing.latency_ms.median;
  record.peak_bytes = timing.peak_bytes;
}

void add_work(Record& record, const std::optional<Work>& work, const Ceilings& ceilings) {
  if (!work) return;
  record.flops = std::llround(work->flops);
  record.bytes = std::llround(work->bytes);
  record.roofline_ms = roofline_ms(*work, ceilings);
}

}  // namespace codmoe::bench
