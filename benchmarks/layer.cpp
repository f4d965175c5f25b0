#include "benchmarks/layer.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cmath>

#include "benchmarks/agreement.h"
#include "benchmarks/ceilings.h"
#include "benchmarks/layer_setup.h"
#include "codmoe/core/device.h"

namespace codmoe::bench {

namespace {

/// What one timing is of, beyond the options.
struct Case {
  Precision precision;
  Pass pass;
  int64_t batch;
  moe::Dispatch dispatch;

  std::string text() const {
    return fmt::format("layer {} {} batch {} {}", core::name_of(precision), core::name_of(pass), batch,
                       core::name_of(dispatch));
  }
};

void check_dispatches(LayerSetup& setup, const LayerOptions& options, Precision precision) {
  const at::NoGradGuard no_grad;
  auto& layer = setup.layer();
  layer->eval();
  use_gate(layer, setup.gates().front());
  for (const int64_t batch : options.batch) {
    const auto x_bchw = setup.images(batch);
    std::vector<moe::Dispatch> dispatches = {moe::Dispatch::sequential};
    dispatches.insert(dispatches.end(), options.dispatch.begin(), options.dispatch.end());
    std::vector<Answer> answers;
    for (const auto dispatch : dispatches) {
      layer->set_dispatch(dispatch);
      answers.push_back({fmt::format("dispatch {}", core::name_of(dispatch)), layer->forward(x_bchw).y_bchw});
    }
    check_agreement(fmt::format("layer {} batch {}", core::name_of(precision), batch), answers, tolerance(precision));
  }
}

Workload forward_workload(LayerSetup& setup, const at::Tensor& x_bchw) {
  return {.sets = static_cast<int64_t>(setup.gates().size()),
          .prepare = [&setup](int64_t set) { use_gate(setup.layer(), setup.gates()[static_cast<std::size_t>(set)]); },
          .call =
              [&setup, x_bchw] {
                const at::NoGradGuard no_grad;
                setup.layer()->forward(x_bchw);
              }};
}

/// Forward and backward of the mean square, into fresh gradients of every weight and of the input.
Workload train_workload(LayerSetup& setup, const at::Tensor& images_bchw) {
  const auto x_bchw = images_bchw.detach().requires_grad_(true);
  return {
      .sets = static_cast<int64_t>(setup.gates().size()),
      .prepare =
          [&setup, x_bchw](int64_t set) {
            use_gate(setup.layer(), setup.gates()[static_cast<std::size_t>(set)]);
            setup.layer()->zero_grad();  // frees them
            x_bchw.mutable_grad() = at::Tensor();
          },
      .call = [&setup, x_bchw] { setup.layer()->forward(x_bchw).y_bchw.to(at::kFloat).square().mean().backward(); }};
}

Record describe(const LayerOptions& options, const Case& which, const c10::Device& device) {
  const bool last = memory_format(options.memory_format, which.precision) == at::MemoryFormat::ChannelsLast;
  return {.case_name = "layer",
          .device = core::device_name(device),
          .dtype = std::string(core::name_of(which.precision)),
          .memory_format = last ? "channels_last" : "contiguous",
          .dispatch = std::string(core::name_of(which.dispatch)),
          .pass = std::string(core::name_of(which.pass)),
          .batch = which.batch,
          .channels = options.dim,
          .height = options.height,
          .width = options.width,
          .top_k = options.moe.top_k,
          .routing = std::string(core::name_of(options.moe.routing)),
          .route_sets = options.route_sets,
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

void add_routes(Record& record, const RouteStatistics& routes, const Ceilings& ceilings) {
  record.load = routes.load;
  if (!routes.work) return;
  record.flops = std::llround(routes.work->flops);
  record.bytes = std::llround(routes.work->bytes);
  record.roofline_ms = roofline_ms(*routes.work, ceilings);
}

Record run_case(LayerSetup& setup, const LayerOptions& options, const Case& which, const c10::Device& device,
                const Ceilings& ceilings) {
  spdlog::info("{}", which.text());
  auto& layer = setup.layer();
  layer->train(which.pass == Pass::train);
  layer->set_dispatch(which.dispatch);
  const auto x_bchw = setup.images(which.batch);
  const auto workload = which.pass == Pass::train ? train_workload(setup, x_bchw) : forward_workload(setup, x_bchw);

  auto record = describe(options, which, device);
  add_routes(record, route_statistics(layer, x_bchw, setup.gates(), which.pass), ceilings);
  add_timing(record, time_workload(workload, device, options.timing));
  layer->zero_grad();
  return record;
}

std::vector<Record> run_precision(const LayerOptions& options, Precision precision, const c10::Device& device) {
  LayerSetup setup(options, precision, device);
  check_dispatches(setup, options, precision);
  const auto ceilings = measure_ceilings(device, precision);
  spdlog::info("{} on {}: {:.3g} TFLOP/s in a large product, {:.3g} GB/s in a large copy", core::name_of(precision),
               core::device_name(device), ceilings.flops_per_s / 1e12, ceilings.bytes_per_s / 1e9);
  std::vector<Record> records;
  for (const auto pass : options.pass) {
    for (const auto dispatch : options.dispatch) {
      for (const int64_t batch : options.batch) {
        records.push_back(run_case(setup, options, {precision, pass, batch, dispatch}, device, ceilings));
      }
    }
  }
  return records;
}

}  // namespace

void LayerOptions::check() const {
  const auto require = [](const char* key, bool some) {
    if (!some) throw core::BadOption(key, "must name at least one value");
  };
  require("batch", !batch.empty());
  require("dtype", !dtype.empty());
  require("pass", !pass.empty());
  require("dispatch", !dispatch.empty());
  moe.check();
}

std::vector<Record> run_layer(const LayerOptions& options, const c10::Device& device) {
  const c10::DeviceGuard guard(device);
  std::vector<Record> records;
  for (const auto precision : options.dtype) {
    const auto some = run_precision(options, precision, device);
    records.insert(records.end(), some.begin(), some.end());
  }
  return records;
}

}  // namespace codmoe::bench
