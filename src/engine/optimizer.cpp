#include "codmoe/engine/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "codmoe/core/error.h"
#include "update_rules.h"

namespace codmoe::engine {

/// A parameter with what is kept for it.
struct Optimizer::Slot {
  std::string name, group;
  at::Tensor parameter, step;
  std::vector<at::Tensor> averages;
  double lr_scale = 1.0;
  int64_t part = 0;
  double weight_decay = 0.0;
};

/// What one call of the rule takes.
struct Optimizer::Batch {
  double lr_scale = 1.0;
  int64_t part = 0;
  UpdateLists lists;
};

Optimizer::Optimizer(const std::vector<ParameterGroup>& groups, const OptimizerOptions& options)
    : options_(options), rule_(make_update_rule(options)) {
  for (const auto& group : groups) add(group);
  update_trainable();
}

Optimizer::~Optimizer() = default;

void Optimizer::add(const ParameterGroup& group) {
  if (group.parameters.empty()) return;
  const auto scalar = group.parameters.front().second.options().dtype(at::kFloat).requires_grad(false);
  if (!skipped_.defined()) {
    for (auto* one : {&norm_, &left_out_, &skipped_, &skipped_in_row_}) *one = at::zeros({}, scalar);
  }
  const auto step = at::zeros({}, scalar);
  for (const auto& [name, parameter] : group.parameters) {
    auto& slot = slots_.emplace_back();
    slot.name = name;
    slot.group = group.name;
    slot.parameter = parameter;
    slot.step = step;
    for (std::size_t i = 0; i < rule_->averages().size(); ++i) {
      slot.averages.push_back(at::zeros_like(parameter).detach());
    }
    slot.lr_scale = group.lr_scale;
    slot.part = group.part;
    slot.weight_decay = parameter.dim() > 1 ? options_.weight_decay : 0.0;
  }
}

void Optimizer::update_trainable() {
  batches_.clear();
  steps_.clear();
  for (auto& slot : slots_) {
    if (!slot.parameter.requires_grad()) {
      slot.parameter.mutable_grad() = at::Tensor();
      continue;
    }
    auto& lists = batch_of(slot).lists;
    lists.params.push_back(slot.parameter);
    for (std::size_t i = 0; i < slot.averages.size(); ++i) lists.averages[i].push_back(slot.averages[i]);
    lists.steps.push_back(slot.step);
    if (steps_.empty() || !steps_.back().is_same(slot.step)) steps_.push_back(slot.step);
  }
  if (batches_.empty()) throw core::Error("the model has no parameter to train");
}

Optimizer::Batch& Optimizer::batch_of(const Slot& slot) {
  for (auto& batch : batches_) {
    if (batch.lr_scale == slot.lr_scale && batch.part == slot.part && batch.lists.weight_decay == slot.weight_decay) {
      return batch;
    }
  }
  auto& batch = batches_.emplace_back();
  batch.lr_scale = slot.lr_scale;
  batch.part = slot.part;
  batch.lists.weight_decay = slot.weight_decay;
  batch.lists.averages.resize(slot.averages.size());
  return batch;
}

void Optimizer::zero_grad() {
  for (auto& batch : batches_) {
    for (auto& parameter : batch.lists.params) parameter.mutable_grad() = at::Tensor();
  }
}

namespace {

std::vector<at::Tensor> gradients_of(const std::vector<at::Tensor>& parameters) {
  std::vector<at::Tensor> gradients;
  for (const auto& parameter : parameters) {
    gradients.push_back(parameter.grad().defined() ? parameter.grad() : at::zeros_like(parameter).detach());
  }
  return gradients;
}

at::Tensor norm_of(const std::vector<std::vector<at::Tensor>>& gradients) {
  std::vector<at::Tensor> norms;
  for (const auto& some : gradients) {
    for (const auto& norm : at::_foreach_norm(some)) norms.push_back(norm);
  }
  return at::linalg_vector_norm(at::stack(norms).to(at::kFloat));
}

}  // namespace

void Optimizer::judge(const std::vector<std::vector<at::Tensor>>& gradients, const at::Tensor& loss) {
  norm_.copy_(norm_of(gradients));
  auto finite = norm_.isfinite();
  if (loss.defined()) finite = finite.logical_and(loss.isfinite());
  left_out_.copy_(finite.logical_not());
  skipped_.add_(left_out_);
  skipped_in_row_.add_(left_out_).mul_(left_out_);
  at::_foreach_add_(steps_, 1 - left_out_);
}

void Optimizer::step(const at::Tensor& lr_factors, const at::Tensor& loss) {
  const at::NoGradGuard no_grad;
  std::vector<std::vector<at::Tensor>> gradients;
  for (const auto& batch : batches_) gradients.push_back(gradients_of(batch.lists.params));
  judge(gradients, loss);
  UpdateScalars scalars{.lr = {}, .divisor = {}, .left_out = left_out_};
  if (options_.clip_norm > 0) scalars.divisor = ((norm_ + 1e-6) / options_.clip_norm).clamp_min(1.0);
  for (std::size_t i = 0; i < batches_.size(); ++i) {
    auto& batch = batches_[i];
    batch.lists.gradients = std::move(gradients[i]);
    if (options_.clip_value > 0) {
      at::_foreach_clamp_min_(batch.lists.gradients, -options_.clip_value);
      at::_foreach_clamp_max_(batch.lists.gradients, options_.clip_value);
    }
    scalars.lr = lr_factors.select(0, batch.part) * (options_.lr * batch.lr_scale);
    rule_->apply(batch.lists, scalars);
    batch.lists.gradients.clear();
  }
}

core::TensorMap Optimizer::state() const {
  core::TensorMap state{{"skipped", skipped_}, {"skipped_in_row", skipped_in_row_}};
  const auto names = rule_->averages();
  for (const auto& slot : slots_) {
    for (std::size_t i = 0; i < names.size(); ++i) state[names[i] + "." + slot.name] = slot.averages[i];
    state["step." + slot.group] = slot.step;
  }
  return state;
}

void Optimizer::load_state(const core::TensorMap& saved) {
  const at::NoGradGuard no_grad;
  auto own = state();
  for (auto& [name, tensor] : own) {
    const auto found = saved.find(name);
    if (found == saved.end()) {
      throw core::Error(fmt::format("the optimizer's state lacks {}; is it of another optimizer.name?", name));
    }
    if (found->second.sizes() != tensor.sizes()) {
      throw core::Error(fmt::format("the optimizer's state of {} has another shape than the model", name));
    }
  }
  if (saved.size() != own.size()) {
    throw core::Error(
        fmt::format("the optimizer's state has {} tensors, the model needs {}", saved.size(), own.size()));
  }
  for (auto& [name, tensor] : own) tensor.copy_(saved.at(name));
}

}  // namespace codmoe::engine
