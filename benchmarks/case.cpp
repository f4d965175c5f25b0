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

void CaseOptions::check() const {
  const auto require = [](const char* key, bool some) {
    if (!some) throw core::BadOption(key, "must name at least one value");
  };
  require("batch", !batch.empty());
  require("dtype", !dtype.empty());
  require("pass", !pass.empty());
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

at::Tensor draw_images(const CaseOptions& options, Precision precision, const c10::Device& device) {
  core::seed_all(core::mix_seed(static_cast<uint64_t>(options.seed), 1));
  return at::randn({std::ranges::max(options.batch), options.dim, options.height, options.width}, at::kFloat)
      .to(device, scalar_type(precision));
}

Ceilings log_ceilings(const c10::Device& device, Precision precision) {
  const auto ceilings = measure_ceilings(device, precision);
  spdlog::info("{} on {}: {:.3g} TFLOP/s in a large product, {:.3g} GB/s in a large copy", core::name_of(precision),
               core::device_name(device), ceilings.flops_per_s / 1e12, ceilings.bytes_per_s / 1e9);
  return ceilings;
}

Workload pass_workload(Pass pass, torch::nn::Module& module, const at::Tensor& images_bchw,
                       std::function<at::Tensor(const at::Tensor&)> forward, const Workload& base) {
  module.train(pass == Pass::train);
  auto workload = base;
  if (pass == Pass::forward) {
    workload.call = [forward = std::move(forward), images_bchw] {
      const at::NoGradGuard no_grad;
      forward(images_bchw);
    };
    return workload;
  }
  const auto x_bchw = images_bchw.detach().requires_grad_(true);
  workload.prepare = [&module, x_bchw, place = base.prepare](int64_t set) {
    place(set);
    module.zero_grad();  // frees them
    x_bchw.mutable_grad() = at::Tensor();
  };
  workload.call = [forward = std::move(forward), x_bchw] { forward(x_bchw).to(at::kFloat).square().mean().backward(); };
  return workload;
}

Record describe_case(const CaseOptions& options, const Case& which, const c10::Device& device) {
  const bool last = memory_format(options.memory_format, which.precision) == at::MemoryFormat::ChannelsLast;
  return {.device = core::device_name(device),
          .dtype = std::string(core::name_of(which.precision)),
          .memory_format = last ? "channels_last" : "contiguous",
          .pass = std::string(core::name_of(which.pass)),
          .inputs = std::string(core::name_of(which.inputs)),
          .batch = which.batch,
          .channels = options.dim,
          .height = options.height,
          .width = options.width,
          .seed = options.seed};
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
