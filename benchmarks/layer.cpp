#include "benchmarks/layer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/DeviceGuard.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "benchmarks/agreement.h"
#include "benchmarks/layer_setup.h"
#include "codmoe/core/error.h"
#include "codmoe/nn/weights.h"

namespace codmoe::bench {

namespace {

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

/// How the layer is run.
struct Way {
  moe::Dispatch dispatch;
  Launch launch;
};

/// Why `fused` would be another strategy under this name, or nothing. Leaves the layer in the pass's mode.
std::string fused_refusal(moe::SparseCODMoE& layer, Pass pass, const at::Tensor& x_bchw) {
  const at::AutoGradMode gradients(pass == Pass::train);
  layer->train(pass == Pass::train);
  return layer->fused_refusal(x_bchw);
}

std::vector<Way> ways(const LayerOptions& options, LayerSetup& setup, const Case& which, const c10::Device& device) {
  std::vector<Way> list;
  for (const auto dispatch : options.dispatch) {
    if (dispatch == moe::Dispatch::fused) {
      const auto refusal = fused_refusal(setup.layer(), which.pass, setup.images(which.batch));
      if (!refusal.empty()) {
        spdlog::info("no case of dispatch fused, layer {}: {}", which.text(), refusal);
        continue;
      }
    }
    for (const auto launch : options.launch) {
      const bool possible = launch == Launch::eager || can_capture(dispatch, device);
      if (possible) list.push_back({dispatch, launch});
    }
  }
  if (list.empty())
    throw core::UsageError("dispatch, launch: none of those named can run here; 'batched' and 'eager' can");
  return list;
}

Record describe(const LayerOptions& options, const Case& which, const Way& way, const c10::Device& device) {
  auto record = describe_case(options, which, device);
  record.case_name = "layer";
  record.dispatch = core::name_of(way.dispatch);
  record.launch = core::name_of(way.launch);
  record.top_k = options.moe.top_k;
  record.routing = core::name_of(options.moe.routing);
  record.route_sets = options.route_sets;
  return record;
}

/// Times all ways on one batch, taking turns: one record each, in their order.
std::vector<Record> run_ways(LayerSetup& setup, const LayerOptions& options, const Case& which,
                             const c10::Device& device, const Ceilings& ceilings) {
  spdlog::info("layer {}", which.text());
  auto& layer = setup.layer();
  const auto x_bchw = setup.images(which.batch);
  const Workload sets = {.sets = static_cast<int64_t>(setup.gates().size()), .prepare = [&](int64_t set) {
                           use_gate(layer, setup.gates()[static_cast<std::size_t>(set)]);
                         }};
  const auto all = ways(options, setup, which, device);
  std::vector<Workload> workloads;
  for (const auto& way : all) {
    const auto forward = [&layer, way](const at::Tensor& x) {
      layer->set_dispatch(way.dispatch);
      return std::vector{layer->forward(x).y_bchw};
    };
    const auto workload = pass_workload(which.pass, *layer, x_bchw, forward, {}, sets);
    workloads.push_back(way.launch == Launch::graph ? captured(workload, device) : workload);
  }

  if (which.inputs == Inputs::cold) {
    const auto evict = eviction(device);
    for (auto& workload : workloads) workload = cold(workload, evict);
  }

  const auto routes = route_statistics(layer, x_bchw, setup.gates(), which.pass);
  const auto timings = time_workloads(workloads, device, options.timing);
  layer->zero_grad();
  std::vector<Record> records;
  for (std::size_t i = 0; i < timings.size(); ++i) {
    auto& record = records.emplace_back(describe(options, which, all[i], device));
    record.parameters = nn::count_parameters(*layer);
    record.load = routes.load;
    add_work(record, routes.work, ceilings);
    add_timing(record, timings[i]);
  }
  return records;
}

/// Times every batch: a way's records stand together. `which` is complete but for the batch.
std::vector<Record> run_batches(LayerSetup& setup, const LayerOptions& options, Case which, const c10::Device& device,
                                const Ceilings& ceilings) {
  std::vector<std::vector<Record>> by_batch;
  for (const int64_t batch : options.batch) {
    which.batch = batch;
    by_batch.push_back(run_ways(setup, options, which, device, ceilings));
  }
  std::vector<Record> records;
  for (std::size_t i = 0; i < by_batch.front().size(); ++i) {
    for (const auto& some : by_batch) records.push_back(some[i]);
  }
  return records;
}

}  // namespace

void LayerOptions::check() const {
  CaseOptions::check();
  require_values("dispatch", dispatch);
  require_values("launch", launch);
  require_values("inputs", inputs);
  moe.check();
}

std::vector<Record> run_layer_cases(const LayerOptions& options, Precision precision, const c10::Device& device,
                                    const Ceilings& ceilings) {
  LayerSetup setup(options, precision, device);
  check_dispatches(setup, options, precision);
  std::vector<Record> records;
  for (const auto pass : options.pass) {
    for (const auto inputs : options.inputs) {  // not in turns: they would cool and warm each other
      const auto some = run_batches(setup, options, {precision, pass, 0, inputs}, device, ceilings);
      records.insert(records.end(), some.begin(), some.end());
    }
  }
  return records;
}

std::vector<Record> run_layer(const LayerOptions& options, const c10::Device& device) {
  const c10::DeviceGuard guard(device);
  std::vector<Record> records;
  for (const auto precision : options.dtype) {
    require_support(precision, device);
    const PrecisionScope scope(precision);
    const auto some = run_layer_cases(options, precision, device, log_ceilings(device, precision));
    records.insert(records.end(), some.begin(), some.end());
  }
  return records;
}

}  // namespace codmoe::bench
