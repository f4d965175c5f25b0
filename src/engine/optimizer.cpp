#include "codmoe/engine/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>

#include "codmoe/core/error.h"
#include "codmoe/dist/shards.h"
#include "update_rules.h"

namespace codmoe::engine {

/// A parameter with what is kept for it.
struct Optimizer::Slot {
  std::string name, group;
  at::Tensor parameter, step;
  bool spread = false;               // the owner alone has gradients of it
  std::optional<int64_t> owner;      // rank that moves it; none: every rank does
  std::optional<std::size_t> shard;  // its number in shards_
  std::vector<at::Tensor> averages;  // undefined where it isn't moved
  double lr_scale = 1.0;
  int64_t part = 0;
  double weight_decay = 0.0;

  bool is_moved_by(int64_t rank) const { return !owner || *owner == rank; }
};

/// Parameters that one call of the rule moves, but for those of other ranks.
struct Optimizer::Batch {
  double lr_scale = 1.0;
  int64_t part = 0;
  bool spread = false;
  std::vector<at::Tensor> params;  // of all ranks, of this one where they are spread
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

Optimizer::Optimizer(const std::vector<ParameterGroup>& groups, const OptimizerOptions& options, OptimizerRanks ranks)
    : options_(options), ranks_(std::move(ranks)), rule_(make_update_rule(options)) {
  if (ranks_.group != nullptr && (ranks_.shard || !ranks_.owners.empty())) rank_ = ranks_.group->rank();
  for (const auto& group : groups) add(group);
  if (ranks_.group != nullptr && ranks_.shard && !slots_.empty()) share_out();
  for (auto& slot : slots_) add_averages(slot);
  update_trainable();
}

Optimizer::~Optimizer() = default;

namespace {

/// Where the parameters lie that every rank has.
at::TensorOptions scalar_options(const ParameterGroup& group, const dist::Owners& owners) {
  const auto here =
      std::ranges::find_if(group.parameters, [&](const auto& item) { return !owners.contains(item.first); });
  TORCH_CHECK(here != group.parameters.end(), "group ", group.name, " has parameters of single ranks alone");
  return here->second.options().dtype(at::kFloat).requires_grad(false);
}

}  // namespace

void Optimizer::add(const ParameterGroup& group) {
  if (group.parameters.empty()) return;
  const auto step = at::zeros({}, scalar_options(group, ranks_.owners));
  if (!skipped_.defined()) {
    for (auto* one : {&norm_, &left_out_, &skipped_, &skipped_in_row_}) *one = at::zeros_like(step);
  }
  for (const auto& [name, parameter] : group.parameters) {
    auto& slot = slots_.emplace_back();
    slot.name = name;
    slot.group = group.name;
    slot.parameter = parameter;
    slot.step = step;
    slot.lr_scale = group.lr_scale;
    slot.part = group.part;
    slot.weight_decay = parameter.dim() > 1 ? options_.weight_decay : 0.0;
    const auto owner = ranks_.owners.find(name);
    slot.spread = owner != ranks_.owners.end();
    if (slot.spread) slot.owner = owner->second;
  }
}

void Optimizer::share_out() {
  std::vector<at::Tensor> parameters;
  for (auto& slot : slots_) {
    if (slot.spread) continue;
    slot.shard = parameters.size();
    parameters.push_back(slot.parameter);
  }
  shards_ = std::make_unique<dist::Shards>(*ranks_.group, parameters);
  for (auto& slot : slots_) {
    if (slot.shard) slot.owner = shards_->owner(*slot.shard);
  }
}

void Optimizer::add_averages(Slot& slot) {
  for (std::size_t i = 0; i < rule_->averages().size(); ++i) {
    slot.averages.push_back(slot.is_moved_by(rank_) ? at::zeros_like(slot.parameter).detach() : at::Tensor());
  }
}

void Optimizer::update_trainable() {
  batches_.clear();
  steps_.clear();
  std::vector<std::size_t> trainable;
  for (auto& slot : slots_) {
    if (!slot.parameter.requires_grad()) {
      slot.parameter.mutable_grad() = at::Tensor();
      continue;
    }
    if (slot.shard) trainable.push_back(*slot.shard);
    if (!slot.spread || slot.is_moved_by(rank_)) batch_of(slot).add(slot, rank_);
    if (steps_.empty() || !steps_.back().is_same(slot.step)) steps_.push_back(slot.step);
  }
  if (batches_.empty()) throw core::Error("the model has no parameter to train");
  if (shards_) shards_->choose(std::move(trainable));
}

void Optimizer::Batch::add(const Slot& slot, int64_t rank) {
  params.push_back(slot.parameter);
  if (!slot.is_moved_by(rank)) return;
  own.push_back(params.size() - 1);
  lists.params.push_back(slot.parameter);
  for (std::size_t i = 0; i < slot.averages.size(); ++i) lists.averages[i].push_back(slot.averages[i]);
  lists.steps.push_back(slot.step);
}

Optimizer::Batch& Optimizer::batch_of(const Slot& slot) {
  for (auto& batch : batches_) {
    if (batch.lr_scale == slot.lr_scale && batch.part == slot.part && batch.spread == slot.spread &&
        batch.lists.weight_decay == slot.weight_decay) {
      return batch;
    }
  }
  auto& batch = batches_.emplace_back();
  batch.lr_scale = slot.lr_scale;
  batch.part = slot.part;
  batch.spread = slot.spread;
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

/// In float64, so that the norm's float32 bits don't hang on which ranks' squares are added up first.
at::Tensor sum_of_squares(const std::vector<at::Tensor>& norms) {
  return at::stack(norms).to(at::kDouble).square().sum();
}

}  // namespace

at::Tensor Optimizer::norm_of(const std::vector<std::vector<at::Tensor>>& gradients) const {
  std::vector<at::Tensor> norms, spread;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    auto& target = batches_[i].spread ? spread : norms;
    std::ranges::move(at::_foreach_norm(gradients[i]), std::back_inserter(target));
  }
  const auto squares = sum_of_squares(norms);
  if (ranks_.owners.empty()) return squares.sqrt();
  const auto of_spread = spread.empty() ? at::zeros_like(squares) : sum_of_squares(spread);
  ranks_.group->sum(of_spread);
  return (squares + of_spread).sqrt();
}

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
      entries[names[i] + "." + slot.name] = {slot.parameter, slot.averages[i], slot.owner.value_or(0)};
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
  const auto tensor = entry.tensor.defined() ? entry.tensor.contiguous()
                                             : at::empty(entry.like.sizes(), entry.like.options().device(device()));
  ranks_.group->broadcast(tensor, entry.owner);
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
