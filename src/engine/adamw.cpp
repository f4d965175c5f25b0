#include "codmoe/engine/adamw.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "codmoe/core/error.h"

namespace codmoe::engine {

AdamW::AdamW(const std::vector<ParameterGroup>& groups, const OptimizerOptions& options) : options_(options) {
  for (const auto& group : groups) add(group);
  update_trainable();
}

void AdamW::add(const ParameterGroup& group) {
  if (group.parameters.empty()) return;
  const auto scalar = group.parameters.front().second.options().dtype(at::kFloat).requires_grad(false);
  if (!skipped_.defined()) skipped_ = at::zeros({}, scalar);
  const auto step = at::zeros({}, scalar);
  for (auto [name, parameter] : group.parameters) {
    slots_.push_back({.name = name,
                      .group = group.name,
                      .parameter = parameter,
                      .exp_avg = at::zeros_like(parameter).detach(),
                      .exp_avg_sq = at::zeros_like(parameter).detach(),
                      .step = step,
                      .lr_scale = group.lr_scale,
                      .weight_decay = parameter.dim() > 1 ? options_.weight_decay : 0.0});
  }
}

void AdamW::update_trainable() {
  batches_.clear();
  steps_.clear();
  for (auto& slot : slots_) {
    if (!slot.parameter.requires_grad()) {
      slot.parameter.mutable_grad() = at::Tensor();
      continue;
    }
    auto& batch = batch_of(slot);
    batch.params.push_back(slot.parameter);
    batch.exp_avg.push_back(slot.exp_avg);
    batch.exp_avg_sq.push_back(slot.exp_avg_sq);
    batch.steps.push_back(slot.step);
    if (steps_.empty() || !steps_.back().is_same(slot.step)) steps_.push_back(slot.step);
  }
  if (batches_.empty()) throw core::Error("the model has no parameter to train");
}

AdamW::Batch& AdamW::batch_of(const Slot& slot) {
  for (auto& batch : batches_) {
    if (batch.lr_scale == slot.lr_scale && batch.weight_decay == slot.weight_decay) return batch;
  }
  auto& batch = batches_.emplace_back();
  batch.lr_scale = slot.lr_scale;
  batch.weight_decay = slot.weight_decay;
  return batch;
}

void AdamW::zero_grad() {
  for (auto& batch : batches_) {
    for (auto& parameter : batch.params) parameter.mutable_grad() = at::Tensor();
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

at::Tensor AdamW::step(const at::Tensor& factor) {
  const at::NoGradGuard no_grad;
  std::vector<std::vector<at::Tensor>> gradients;
  for (const auto& batch : batches_) gradients.push_back(gradients_of(batch.params));
  const auto norm = norm_of(gradients);
  const auto found_inf = norm.isfinite().logical_not().to(at::kFloat);
  at::_foreach_add_(steps_, 1 - found_inf);
  skipped_.add_(found_inf);
  std::optional<at::Tensor> divisor;
  if (options_.clip_norm > 0) divisor = ((norm + 1e-6) / options_.clip_norm).clamp_min(1.0);
  for (std::size_t i = 0; i < batches_.size(); ++i) {
    auto& batch = batches_[i];
    at::_fused_adamw_(batch.params, gradients[i], batch.exp_avg, batch.exp_avg_sq, /*max_exp_avg_sqs=*/{}, batch.steps,
                      factor * (options_.lr * batch.lr_scale), options_.beta1, options_.beta2, batch.weight_decay,
                      options_.eps, /*amsgrad=*/false, /*maximize=*/false, divisor, found_inf);
  }
  return norm;
}

core::TensorMap AdamW::state() const {
  core::TensorMap state{{"skipped", skipped_}};
  for (const auto& slot : slots_) {
    state["exp_avg." + slot.name] = slot.exp_avg;
    state["exp_avg_sq." + slot.name] = slot.exp_avg_sq;
    state["step." + slot.group] = slot.step;
  }
  return state;
}

void AdamW::load_state(const core::TensorMap& saved) {
  const at::NoGradGuard no_grad;
  auto own = state();
  if (saved.size() != own.size()) {
    throw core::Error(
        fmt::format("the optimizer's state has {} tensors, the model needs {}", saved.size(), own.size()));
  }
  for (auto& [name, tensor] : own) {
    const auto found = saved.find(name);
    if (found == saved.end()) throw core::Error(fmt::format("the optimizer's state lacks {}", name));
    if (found->second.sizes() != tensor.sizes()) {
      throw core::Error(fmt::format("the optimizer's state of {} has another shape than the model", name));
    }
  }
  for (auto& [name, tensor] : own) tensor.copy_(saved.at(name));
}

}  // namespace codmoe::engine
