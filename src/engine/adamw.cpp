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
    if (!parameter.grad().defined()) parameter.mutable_grad() = at::zeros_like(parameter);
    if (!step_.defined()) {
      step_ = at::zeros({}, parameter.options().dtype(at::kFloat));
      skipped_ = at::zeros_like(step_);
    }
    auto& group = group_of(item.key(), parameter);
    group.names.push_back(item.key());
    group.params.push_back(parameter.detach());
    group.grads.push_back(parameter.mutable_grad());
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
  for (auto& group : groups_) at::_foreach_zero_(group.grads);
}

at::Tensor AdamW::clip(std::vector<at::Tensor>& grads) const {
  const auto norm = at::linalg_vector_norm(at::stack(at::_foreach_norm(grads)).to(at::kFloat));
  if (options_.clip_norm > 0) at::_foreach_mul_(grads, (options_.clip_norm / (norm + 1e-6)).clamp_max(1.0));
  return norm;
}

at::Tensor AdamW::step(double factor) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> all;
  for (const auto& group : groups_) all.insert(all.end(), group.grads.begin(), group.grads.end());
  const auto norm = clip(all);
  const auto found_inf = norm.isfinite().logical_not().to(at::kFloat);
  step_.add_(1 - found_inf);
  skipped_.add_(found_inf);
  for (auto& group : groups_) {
    at::_fused_adamw_(group.params, group.grads, group.exp_avg, group.exp_avg_sq, /*max_exp_avg_sqs=*/{}, group.steps,
                      options_.lr * group.lr_scale * factor, options_.beta1, options_.beta2, group.weight_decay,
                      options_.eps, /*amsgrad=*/false, /*maximize=*/false, /*grad_scale=*/std::nullopt, found_inf);
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
