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
    if (!parameter.grad().defined()) parameter.mutable_grad() = at::zeros_like(parameter).detach();
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
    if (!slot.parameter.requires_grad()) continue;
    auto& batch = batch_of(slot);
    batch.params.push_back(slot.parameter.detach());
    batch.grads.push_back(slot.parameter.mutable_grad());
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
  for (auto& batch : batches_) at::_foreach_zero_(batch.grads);
}

at::Tensor AdamW::clip(std::vector<at::Tensor>& grads) const {
  const auto norm = at::linalg_vector_norm(at::stack(at::_foreach_norm(grads)).to(at::kFloat));
  if (options_.clip_norm > 0) at::_foreach_mul_(grads, (options_.clip_norm / (norm + 1e-6)).clamp_max(1.0));
  return norm;
}

at::Tensor AdamW::step(double factor) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> all;
  for (const auto& batch : batches_) all.insert(all.end(), batch.grads.begin(), batch.grads.end());
  const auto norm = clip(all);
  const auto found_inf = norm.isfinite().logical_not().to(at::kFloat);
  at::_foreach_add_(steps_, 1 - found_inf);
  skipped_.add_(found_inf);
  for (auto& batch : batches_) {
    at::_fused_adamw_(batch.params, batch.grads, batch.exp_avg, batch.exp_avg_sq, /*max_exp_avg_sqs=*/{}, batch.steps,
                      options_.lr * batch.lr_scale * factor, options_.beta1, options_.beta2, batch.weight_decay,
                      options_.eps, /*amsgrad=*/false, /*maximize=*/false, /*grad_scale=*/std::nullopt, found_inf);
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
