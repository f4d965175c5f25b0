#include "benchmarks/layer.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "benchmarks/agreement.h"
#include "benchmarks/layer_setup.h"
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

Record describe(const LayerOptions& options, const Case& which, moe::Dispatch dispatch, const c10::Device& device) {
  auto record = describe_case(options, which, device);
  record.case_name = "layer";
  record.dispatch = core::name_of(dispatch);
  record.top_k = options.moe.top_k;
  record.routing = core::name_of(options.moe.routing);
  record.route_sets = options.route_sets;
  return record;
}

Record run_case(LayerSetup& setup, const LayerOptions& options, const Case& which, moe::Dispatch dispatch,
                const c10::Device& device, const Ceilings& ceilings) {
  spdlog::info("layer {} {}", which.text(), core::name_of(dispatch));
  auto& layer = setup.layer();
  layer->set_dispatch(dispatch);
  const auto x_bchw = setup.images(which.batch);
  const Workload sets = {.sets = static_cast<int64_t>(setup.gates().size()), .prepare = [&](int64_t set) {
                           use_gate(layer, setup.gates()[static_cast<std::size_t>(set)]);
                         }};
  const auto workload = pass_workload(
      which.pass, *layer, x_bchw, [&](const at::Tensor& x) { return layer->forward(x).y_bchw; }, sets);

  auto record = describe(options, which, dispatch, device);
  record.parameters = nn::count_parameters(*layer);
  const auto routes = route_statistics(layer, x_bchw, setup.gates(), which.pass);
  record.load = routes.load;
  add_work(record, routes.work, ceilings);
  add_timing(record, time_workload(workload, device, options.timing));
  layer->zero_grad();
  return record;
}

}  // namespace

void LayerOptions::check() const {
  CaseOptions::check();
  if (dispatch.empty()) throw core::BadOption("dispatch", "must name at least one value");
  moe.check();
}

std::vector<Record> run_layer_cases(const LayerOptions& options, Precision precision, const c10::Device& device,
                                    const Ceilings& ceilings) {
  LayerSetup setup(options, precision, device);
  check_dispatches(setup, options, precision);
  std::vector<Record> records;
  for (const auto pass : options.pass) {
    for (const auto dispatch : options.dispatch) {
      for (const int64_t batch : options.batch) {
        records.push_back(run_case(setup, options, {precision, pass, batch}, dispatch, device, ceilings));
      }
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
