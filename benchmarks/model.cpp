#include "benchmarks/model.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "codmoe/backbone/registry.h"
#include "codmoe/core/seed.h"
#include "codmoe/engine/precision.h"
#include "codmoe/nn/weights.h"

namespace codmoe::bench {

namespace {

/// What one timing of a backbone is of.
struct ModelCase {
  std::string name;
  Case which;
  std::vector<int64_t> size;
};

std::vector<Launch> possible_launches(const ModelOptions& options, const c10::Device& device) {
  auto launches = options.launch;
  if (!device.is_cuda()) std::erase(launches, Launch::graph);
  if (launches.empty()) throw core::UsageError("launch: 'graph' needs a CUDA device; 'eager' can run here");
  return launches;
}

Record describe_model(const ModelOptions& options, const ModelCase& what, Launch launch, const c10::Device& device) {
  auto record = describe_case(options, what.which, device);
  record.case_name = "model";
  record.backbone = what.name;
  record.frozen_norm = options.frozen_norm;
  record.launch = core::name_of(launch);
  record.channels = 3;
  record.height = what.size[0];
  record.width = what.size[1];
  return record;
}

/// Times all launches on one batch, taking turns: one record each.
std::vector<Record> run_launches(ModelSetup& setup, const ModelOptions& options, const ModelCase& what,
                                 const c10::Device& device) {
  spdlog::info("{} {}x{} {}", what.name, what.size[0], what.size[1], what.which.text());
  const auto x_bchw =
      setup.lay_out(draw_images(options.seed, {what.which.batch, 3, what.size[0], what.size[1]}, at::kFloat, device));
  const auto eager = pass_workload(what.which.pass, setup.backbone(), x_bchw, setup.forward(),
                                   {.input_gradient = false, .frozen_norm = options.frozen_norm});
  std::vector<Workload> workloads;
  std::vector<Record> records;
  for (const auto launch : possible_launches(options, device)) {
    workloads.push_back(launch == Launch::graph ? captured(eager, device) : eager);
    records.push_back(describe_model(options, what, launch, device));
    records.back().parameters = nn::count_parameters(setup.backbone());
  }
  const auto timings = time_workloads(workloads, device, options.timing);
  for (std::size_t i = 0; i < timings.size(); ++i) add_timing(records[i], timings[i]);
  setup.backbone().zero_grad();
  return records;
}

/// All cases of one backbone in one dtype: every size, pass and batch.
std::vector<Record> run_backbone(const ModelOptions& options, const std::string& name, Precision precision,
                                 const c10::Device& device) {
  ModelSetup setup(options, name, precision, at::kFloat, device);
  std::vector<Record> records;
  for (const auto& size : options.size) {
    for (const auto pass : options.pass) {
      for (const int64_t batch : options.batch) {
        const auto some = run_launches(setup, options, {name, {precision, pass, batch}, size}, device);
        records.insert(records.end(), some.begin(), some.end());
      }
    }
  }
  return records;
}

}  // namespace

void ModelOptions::check() const {
  SweepOptions::check();
  require_values("backbone", backbone);
  require_values("size", size);
  require_values("launch", launch);
  for (std::size_t i = 0; i < backbone.size(); ++i) {
    try {
      backbone::BackboneOptions{.name = backbone[i]}.check();
    } catch (const core::BadOption& error) {
      throw core::BadOption(fmt::format("backbone.{}", i), error.what());
    }
  }
  for (std::size_t i = 0; i < size.size(); ++i) {
    if (size[i].size() != 2) throw core::BadOption(fmt::format("size.{}", i), "must be [height, width]");
  }
  if (!weights.empty() && backbone.size() > 1)
    throw core::BadOption("weights", "must be of one backbone; several are named");
}

ModelSetup::ModelSetup(const ModelOptions& options, const std::string& name, Precision precision, at::ScalarType dtype,
                       const c10::Device& device)
    : precision_(precision), format_(memory_format(options.memory_format, precision)) {
  core::seed_all(static_cast<uint64_t>(options.seed));
  backbone_ = backbone::make_backbone({.name = name, .weights = options.weights});
  backbone_->to(device);
  convert(*backbone_, dtype, format_);
}

Forward ModelSetup::forward() {
  const auto precision = precision_ == Precision::bfloat16 ? engine::Precision::bfloat16 : engine::Precision::float32;
  return [this, precision](const at::Tensor& x_bchw) {
    const engine::AutocastScope autocast(x_bchw.device().type(), precision);
    return backbone_->forward(x_bchw);
  };
}

std::vector<Record> run_model(const ModelOptions& options, const c10::Device& device) {
  const c10::DeviceGuard guard(device);
  std::vector<Record> records;
  for (const auto& name : options.backbone) {
    for (const auto precision : options.dtype) {
      require_support(precision, device);
      const PrecisionScope scope(precision);
      const auto some = run_backbone(options, name, precision, device);
      records.insert(records.end(), some.begin(), some.end());
    }
  }
  return records;
}

}  // namespace codmoe::bench
