#include "benchmarks/train.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>

#include "benchmarks/case.h"
#include "benchmarks/profile.h"
#include "codmoe/core/device.h"
#include "codmoe/core/error.h"
#include "codmoe/core/seed.h"
#include "codmoe/engine/precision.h"
#include "codmoe/engine/train_step.h"
#include "codmoe/nn/weights.h"

namespace codmoe::bench {

namespace {

constexpr int profiled_steps = 5;
constexpr int64_t warmup_of_graph = 3;

/// What one timing is of, beyond the options.
struct TrainCase {
  engine::Precision precision;
  int64_t batch;
  Launch launch;
};

std::vector<TrainCase> cases_of(const TrainCaseOptions& options, const c10::Device& device) {
  std::vector<TrainCase> cases;
  for (const auto precision : options.dtype) {
    for (const auto batch : options.batch) {
      for (const auto launch : options.launch) {
        if (launch == Launch::graph && !device.is_cuda()) continue;
        cases.push_back({precision, batch, launch});
      }
    }
  }
  if (cases.empty()) throw core::UsageError("launch: graph needs a CUDA device");
  return cases;
}

engine::TrainOptions train_options(const TrainCaseOptions& options, const TrainCase& which) {
  engine::TrainOptions train;
  train.model = options.model;
  train.loss = options.loss;
  train.optimizer = options.optimizer;
  train.engine.precision = which.precision;
  train.engine.channels_last = options.channels_last;
  train.engine.graph = which.launch == Launch::graph ? engine::GraphUse::automatic : engine::GraphUse::off;
  return train;
}

/// Noise, with a square as mask: what is in them doesn't change the time.
data::Batch draw_batch(const TrainCaseOptions& options, int64_t batch, const c10::Device& device) {
  const auto size = options.size;
  data::Batch drawn{.images = at::randint(0, 256, {batch, 3, size, size}, at::kByte).to(device),
                    .masks = at::zeros({batch, 1, size, size}, at::kByte),
                    .names = {}};
  drawn.masks.slice(2, size / 4, size / 2).slice(3, size / 4, size / 2).fill_(255);
  drawn.masks = drawn.masks.to(device);
  return drawn;
}

/// A step on one batch, ready to be called again and again.
struct PreparedStep {
  std::shared_ptr<engine::TrainStep> step;
  std::vector<data::Batch> batches;

  void operator()() const { step->run(batches, engine::StepValues{}); }
};

PreparedStep make_step(const TrainCaseOptions& options, const TrainCase& which, const c10::Device& device,
                       Record& record) {
  core::seed_all(static_cast<uint64_t>(options.seed));
  engine::set_precision(which.precision);
  model::Detector model(options.model);
  model->to(device);
  if (options.channels_last) engine::to_channels_last(*model);
  model->train();
  record.parameters = nn::count_parameters(*model);
  return {std::make_shared<engine::TrainStep>(model, train_options(options, which), device),
          {draw_batch(options, which.batch, device)}};
}

Record describe(const TrainCaseOptions& options, const TrainCase& which, const c10::Device& device) {
  return {.case_name = "train",
          .device = core::device_name(device),
          .backbone = options.model.backbone.name,
          .dtype = std::string(core::name_of(which.precision)),
          .memory_format = options.channels_last ? "channels_last" : "contiguous",
          .pass = "step",
          .dispatch = std::string(core::name_of(options.model.moe.dispatch)),
          .launch = std::string(core::name_of(which.launch)),
          .batch = which.batch,
          .height = options.size,
          .width = options.size,
          .top_k = options.model.moe.top_k,
          .routing = std::string(core::name_of(options.model.moe.routing)),
          .seed = options.seed};
}

}  // namespace

void TrainCaseOptions::check() const {
  model.check();
  require_values("batch", batch);
  require_values("dtype", dtype);
  require_values("launch", launch);
  if (std::ranges::find(launch, Launch::graph) != launch.end() && timing.warmup < warmup_of_graph) {
    throw core::BadOption("timing.warmup",
                          fmt::format("must be at least {} for launch graph, whose first steps run kernel "
                                      "by kernel; it is {}",
                                      warmup_of_graph, timing.warmup));
  }
}

std::vector<Record> run_train(const TrainCaseOptions& options, const c10::Device& device) {
  std::vector<Record> records;
  for (const auto& which : cases_of(options, device)) {
    auto record = describe(options, which, device);
    spdlog::info("{} {} batch {} {}", options.model.backbone.name, record.dtype, which.batch, *record.launch);
    const auto step = make_step(options, which, device, record);
    Workload workload;
    workload.call = step;
    add_timing(record, time_workload(workload, device, options.timing));
    if (which.launch == Launch::graph && !step.step->replayed()) {
      spdlog::warn("{} {}: the step can't be captured in a CUDA graph, so that there is no figure",
                   options.model.backbone.name, record.dtype);
      continue;
    }
    records.push_back(record);
  }
  return records;
}

std::string profile_train(const TrainCaseOptions& options, const c10::Device& device,
                          const std::filesystem::path& file) {
  const auto which = cases_of(options, device).back();
  auto record = describe(options, which, device);
  const auto step = make_step(options, which, device, record);
  for (int64_t i = 0; i < options.timing.warmup; ++i) step();
  return profile_kernels(step, device, profiled_steps, file);
}

std::string format_train(const std::vector<Record>& records) {
  constexpr const char* columns = "{:>28} {:>9} {:>6} {:>5} {:>10} {:>9} {:>9} {:>10} {:>9} {:>8}\n";
  auto text = fmt::format(columns, "backbone", "dtype", "launch", "batch", "median ms", "p95 ms", "gpu ms", "images/s",
                          "peak GiB", "M params");
  for (const auto& record : records) {
    const auto peak = static_cast<double>(record.peak_bytes.value_or(0)) / (1 << 30);
    text += fmt::format(columns, record.backbone.value_or(""), record.dtype, record.launch.value_or(""), record.batch,
                        fmt::format("{:.2f}", record.median_ms), fmt::format("{:.2f}", record.p95_ms),
                        record.gpu_ms ? fmt::format("{:.2f}", *record.gpu_ms) : "-",
                        fmt::format("{:.1f}", record.images_per_s), fmt::format("{:.1f}", peak),
                        fmt::format("{:.1f}", static_cast<double>(record.parameters.value_or(0)) / 1e6));
  }
  return text;
}

}  // namespace codmoe::bench
