#include "codmoe/engine/adamw.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "codmoe/core/error.h"

namespace codmoe::engine {

AdamW::AdamW(const torch::nn::Module& model, const OptimizerOptions& options) : options_(options) {
  for (const auto& item : model.named_parameters()) {
    auto parameter = item.value();
    if (!parameter.requires_grad()) continue;
    if (!step_.defined()) {
      step_ = at::zeros({}, parameter.options().dtype(at::kFloat));
      skipped_ = at::zeros_like(step_);
    }
    auto& group = group_of(item.key(), parameter);
    group.names.push_back(item.key());
    group.params.push_back(parameter);
    group.exp_avg.push_back(at::zeros_like(parameter).detach());
    group.exp_avg_sq.push_back(at::zeros_like(parameter).detach());
    group.steps.push_back(step_);
  }
  if (groups_.empty()) throw core::Error("the model has no parameter to train");
}

AdamW::Group& AdamW::group_of(const std::string& name, const at::Tensor& parameter) {
  const double lr_scale = name.starts_with("backbone.") ? options_.backbone_lr_scale : 1.0;
  const double decay = parameter.dim() > 1 ? options_.weight_decay : 0.0;
  for (auto& group : groups_) {
    if (group.lr_scale == lr_scale && group.weight_decay == decay) return group;
  }
  auto& group = groups_.emplace_back();
  group.lr_scale = lr_scale;
  group.weight_decay = decay;
  return group;
}

void AdamW::zero_grad() {
  for (auto& group : groups_) {
    for (auto& parameter : group.params) parameter.mutable_grad() = at::Tensor();
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
  for (const auto& group : groups_) gradients.push_back(gradients_of(group.params));
  const auto norm = norm_of(gradients);
  const auto found_inf = norm.isfinite().logical_not().to(at::kFloat);
  step_.add_(1 - found_inf);
  skipped_.add_(found_inf);
  std::optional<at::Tensor> divisor;
  if (options_.clip_norm > 0) divisor = ((norm + 1e-6) / options_.clip_norm).clamp_min(1.0);
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    auto& group = groups_[i];
    at::_fused_adamw_(group.params, gradients[i], group.exp_avg, group.exp_avg_sq, /*max_exp_avg_sqs=*/{}, group.steps,
                      factor * (options_.lr * group.lr_scale), options_.beta1, options_.beta2, group.weight_decay,
                      options_.eps, /*amsgrad=*/false, /*maximize=*/false, divisor, found_inf);
  }
  return norm;
}

core::TensorMap AdamW::state() const {
  core::TensorMap state{{"step", step_}, {"skipped", skipped_}};
  for (const auto& group : groups_) {
    for (std::size_t i = 0; i < group.names.size(); ++i) {
      state["exp_avg." + group.names[i]] = group.exp_avg[i];
      state["exp_avg_sq." + group.names[i]] = group.exp_avg_sq[i];
    }
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
