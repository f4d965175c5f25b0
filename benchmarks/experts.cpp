#include "benchmarks/experts.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "benchmarks/agreement.h"
#include "benchmarks/old_forms.h"
#include "codmoe/core/seed.h"
#include "codmoe/nn/weights.h"

namespace codmoe::bench {

namespace {

/// One expert in all its forms, ready to be timed.
struct Subject {
  std::string expert;
  std::vector<ExpertForm> forms;
};

/// The experts of the pool, each name once, with weights that are a function of the seed.
std::vector<Subject> make_subjects(const ExpertsOptions& options, Precision precision, const c10::Device& device) {
  core::seed_all(static_cast<uint64_t>(options.seed));
  std::vector<Subject> subjects;
  for (const auto& name : options.moe.experts) {
    if (std::ranges::find(subjects, name, &Subject::expert) != subjects.end()) continue;
    subjects.push_back({name, make_forms(name, {.dim = options.dim, .norm = options.moe.norm})});
    for (auto& form : subjects.back().forms) {
      form.module->to(device);
      convert(*form.module, scalar_type(precision), memory_format(options.memory_format, precision));
    }
  }
  return subjects;
}

void check_forms(const Subject& subject, const at::Tensor& x_bchw, Precision precision) {
  const at::NoGradGuard no_grad;
  std::vector<Answer> answers;
  for (const auto& form : subject.forms) {
    if (!form.same_function) continue;
    form.module->eval();
    answers.push_back({fmt::format("form '{}'", form.name), form.module->forward(x_bchw)});
  }
  check_agreement(fmt::format("{} {}", subject.expert, core::name_of(precision)), answers, tolerance(precision));
}

Record describe_form(const Subject& subject, const ExpertForm& form, const ExpertsOptions& options, const Case& which,
                     const at::Tensor& x_bchw, const Ceilings& ceilings) {
  auto record = describe_case(options, which, x_bchw.device());
  record.case_name = "experts";
  record.expert = subject.expert;
  record.form = form.name;
  record.parameters = nn::count_parameters(*form.module);
  const LayerShape shape{.batch = which.batch,
                         .channels = options.dim,
                         .positions = options.height * options.width,
                         .element_size = x_bchw.element_size()};
  const RouteCounts counts = {std::vector<int64_t>(static_cast<std::size_t>(which.batch), shape.positions)};
  add_work(record, needed_work({form.module}, counts, shape, which.pass), ceilings);
  return record;
}

/// Times all forms of an expert, taking turns: one record a form.
std::vector<Record> run_forms(const Subject& subject, const ExpertsOptions& options, const Case& which,
                              const at::Tensor& x_bchw, const Ceilings& ceilings) {
  spdlog::info("{} {}", subject.expert, which.text());
  std::vector<Record> records;
  std::vector<Workload> workloads;
  for (const auto& form : subject.forms) {
    records.push_back(describe_form(subject, form, options, which, x_bchw, ceilings));
    workloads.push_back(pass_workload(which.pass, *form.module, x_bchw,
                                      [&form](const at::Tensor& x) { return std::vector{form.module->forward(x)}; }));
  }
  const auto timings = time_workloads(workloads, x_bchw.device(), options.timing);
  for (std::size_t i = 0; i < timings.size(); ++i) {
    add_timing(records[i], timings[i]);
    subject.forms[i].module->zero_grad();
  }
  return records;
}

std::vector<Record> run_alone(const ExpertsOptions& options, Precision precision, const c10::Device& device,
                              const Ceilings& ceilings) {
  const auto subjects = make_subjects(options, precision, device);
  const auto format = memory_format(options.memory_format, precision);
  const auto images_bchw = draw_images(options, precision, device);
  for (const auto& subject : subjects) check_forms(subject, images_bchw.contiguous(format), precision);

  std::vector<Record> records;
  for (const auto pass : options.pass) {
    for (const auto& subject : subjects) {
      for (const int64_t batch : options.batch) {
        const auto x_bchw = images_bchw.narrow(0, 0, batch).clone(format);
        const auto some = run_forms(subject, options, {precision, pass, batch}, x_bchw, ceilings);
        records.insert(records.end(), some.begin(), some.end());
      }
    }
  }
  return records;
}

/// The whole layer as the case "layer" times it: one record a dispatch, the first of them as `form`.
std::vector<Record> run_pool(const ExpertsOptions& options, const std::vector<std::string>& experts,
                             const std::vector<moe::Dispatch>& dispatches, const char* form, Precision precision,
                             const c10::Device& device, const Ceilings& ceilings) {
  LayerOptions layer;
  static_cast<CaseOptions&>(layer) = options;
  layer.dispatch = dispatches;
  layer.moe = options.moe;
  layer.moe.experts = experts;
  layer.route_sets = options.route_sets;
  auto records = run_layer_cases(layer, precision, device, ceilings);
  for (auto& record : records) {
    record.case_name = "experts";
    record.expert = "layer";
    record.form = record.dispatch == core::name_of(dispatches.front()) ? form : record.dispatch;
  }
  return records;
}

}  // namespace

void ExpertsOptions::check() const {
  CaseOptions::check();
  moe.check();
  auto old = moe;
  old.experts = old_pool;
  try {
    old.check();
  } catch (const core::BadOption& error) {
    auto key = error.key();
    if (key.starts_with("experts")) key.replace(0, std::string_view("experts").size(), "old_pool");
    throw core::BadOption(key, error.what());
  }
}

std::vector<Record> run_experts(const ExpertsOptions& options, const c10::Device& device) {
  using moe::Dispatch;
  const c10::DeviceGuard guard(device);
  std::vector<Record> records;
  const auto add = [&](const std::vector<Record>& some) { records.insert(records.end(), some.begin(), some.end()); };
  for (const auto precision : options.dtype) {
    require_support(precision, device);
    const PrecisionScope scope(precision);
    const auto ceilings = log_ceilings(device, precision);
    const auto add_pool = [&](const auto& pool, const std::vector<Dispatch>& dispatches, const char* form) {
      add(run_pool(options, pool, dispatches, form, precision, device, ceilings));
    };
    add(run_alone(options, precision, device, ceilings));
    add_pool(options.moe.experts, {Dispatch::batched, Dispatch::sequential}, "new");
    add_pool(options.old_pool, {Dispatch::batched}, "old pool");
  }
  return records;
}

}  // namespace codmoe::bench
