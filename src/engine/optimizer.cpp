#include "codmoe/engine/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "codmoe/core/error.h"
#include "codmoe/dist/shards.h"
#include "update_rules.h"

namespace codmoe::engine {

/// A parameter with what is kept for it.
struct Optimizer::Slot {
  std::string name, group;
  at::Tensor parameter, step;
  int64_t owner = 0;                 // rank that moves the parameter
  std::vector<at::Tensor> averages;  // undefined on the other ranks
  double lr_scale = 1.0;
  int64_t part = 0;
  double weight_decay = 0.0;
};

/// Parameters that one call of the rule moves, but for those of other ranks.
struct Optimizer::Batch {
  double lr_scale = 1.0;
  int64_t part = 0;
  std::vector<at::Tensor> params;  // of all ranks
  std::vector<std::size_t> own;    // which of them are this rank's
  UpdateLists lists;               // of its own

  void add(const Slot& slot, int64_t rank);
};

/// A tensor of the state.
struct Optimizer::Entry {
  at::Tensor like;    // of the same sizes and dtype
  at::Tensor tensor;  // undefined where another rank keeps it
  int64_t owner = 0;  // 0 also where every rank keeps it
};

Optimizer::Optimizer(const std::vector<ParameterGroup>& groups, const OptimizerOptions& options, dist::Group* ranks)
    : options_(options), ranks_(ranks), rank_(ranks == nullptr ? 0 : ranks->rank()), rule_(make_update_rule(options)) {
  for (const auto& group : groups) add(group);
  if (ranks != nullptr && !slots_.empty()) share_out();
  for (auto& slot : slots_) add_averages(slot);
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
    slot.lr_scale = group.lr_scale;
    slot.part = group.part;
    slot.weight_decay = parameter.dim() > 1 ? options_.weight_decay : 0.0;
  }
}

void Optimizer::share_out() {
  std::vector<at::Tensor> parameters;
  for (const auto& slot : slots_) parameters.push_back(slot.parameter);
  shards_ = std::make_unique<dist::Shards>(*ranks_, parameters);
  for (std::size_t i = 0; i < slots_.size(); ++i) slots_[i].owner = shards_->owner(i);
}

void Optimizer::add_averages(Slot& slot) {
  for (std::size_t i = 0; i < rule_->averages().size(); ++i) {
    slot.averages.push_back(slot.owner == rank_ ? at::zeros_like(slot.parameter).detach() : at::Tensor());
  }
}

void Optimizer::update_trainable() {
  batches_.clear();
  steps_.clear();
  std::vector<std::size_t> trainable;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    auto& slot = slots_[i];
    if (!slot.parameter.requires_grad()) {
      slot.parameter.mutable_grad() = at::Tensor();
      continue;
    }
    trainable.push_back(i);
    batch_of(slot).add(slot, rank_);
    if (steps_.empty() || !steps_.back().is_same(slot.step)) steps_.push_back(slot.step);
  }
  if (batches_.empty()) throw core::Error("the model has no parameter to train");
  if (shards_) shards_->choose(std::move(trainable));
}

void Optimizer::Batch::add(const Slot& slot, int64_t rank) {
  params.push_back(slot.parameter);
  if (slot.owner != rank) return;
  own.push_back(params.size() - 1);
  lists.params.push_back(slot.parameter);
  for (std::size_t i = 0; i < slot.averages.size(); ++i) lists.averages[i].push_back(slot.averages[i]);
  lists.steps.push_back(slot.step);
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
  for (const auto& batch : batches_) gradients.push_back(gradients_of(batch.params));
  judge(gradients, loss);
  UpdateScalars scalars{.lr = {}, .divisor = {}, .left_out = left_out_};
  if (options_.clip_norm > 0) scalars.divisor = ((norm_ + 1e-6) / options_.clip_norm).clamp_min(1.0);
  for (std::size_t i = 0; i < batches_.size(); ++i) {
    if (batches_[i].own.empty()) continue;
    scalars.lr = lr_factors.select(0, batches_[i].part) * (options_.lr * batches_[i].lr_scale);
    update(batches_[i], gradients[i], scalars);
  }
  if (shards_) shards_->send();
}

void Optimizer::update(Batch& batch, const std::vector<at::Tensor>& gradients, const UpdateScalars& scalars) {
  for (const auto i : batch.own) batch.lists.gradients.push_back(gradients[i]);
  if (options_.clip_value > 0) {
    at::_foreach_clamp_min_(batch.lists.gradients, -options_.clip_value);
    at::_foreach_clamp_max_(batch.lists.gradients, options_.clip_value);
  }
  rule_->apply(batch.lists, scalars);
  batch.lists.gradients.clear();
}

std::map<std::string, Optimizer::Entry> Optimizer::entries() const {
  std::map<std::string, Entry> entries{{"skipped", {skipped_, skipped_}},
                                       {"skipped_in_row", {skipped_in_row_, skipped_in_row_}}};
  const auto names = rule_->averages();
  for (const auto& slot : slots_) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      entries[names[i] + "." + slot.name] = {slot.parameter, slot.averages[i], slot.owner};
    }
    entries["step." + slot.group] = {slot.step, slot.step};
  }
  return entries;
}

core::TensorMap Optimizer::state() const {
  const at::NoGradGuard no_grad;
  core::TensorMap state;
  for (const auto& [name, entry] : entries()) {
    const auto tensor = entry.owner == 0 ? entry.tensor : sent_to_lead(entry);
    if (rank_ == 0) state[name] = tensor;
  }
  return state;
}

at::Tensor Optimizer::sent_to_lead(const Entry& entry) const {
  const auto tensor =
      entry.tensor.defined() ? entry.tensor.contiguous() : at::empty(entry.like.sizes(), entry.like.options());
  ranks_->broadcast(tensor, entry.owner);
  return rank_ == 0 ? tensor.cpu() : at::Tensor();  // one tensor at a time on the device
}

void Optimizer::load_state(const core::TensorMap& saved) {
  const at::NoGradGuard no_grad;
  const auto own = entries();
  for (const auto& [name, entry] : own) {
    const auto found = saved.find(name);
    if (found == saved.end()) {
      throw core::Error(fmt::format("the optimizer's state lacks {}; is it of another optimizer.name?", name));
    }
    if (found->second.sizes() != entry.like.sizes()) {
      throw core::Error(fmt::format("the optimizer's state of {} has another shape than the model", name));
    }
  }
  if (saved.size() != own.size()) {
    throw core::Error(
        fmt::format("the optimizer's state has {} tensors, the model needs {}", saved.size(), own.size()));
  }
  for (const auto& [name, entry] : own) {
    if (entry.tensor.defined()) entry.tensor.copy_(saved.at(name));
  }
}

}  // namespace codmoe::engine
