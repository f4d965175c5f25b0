#include "codmoe/engine/train_step.h"

#include <ATen/ATen.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "codmoe/dist/shared_statistics.h"
#include "codmoe/engine/freezing.h"
#include "codmoe/engine/narrow_weights.h"
#include "codmoe/engine/precision.h"
#include "codmoe/moe/expert_parallel.h"
#include "codmoe/nn/weights.h"
#include "kept_buffers.h"
#include "running_statistics.h"

namespace codmoe::engine {

namespace {

/// Libraries choose algorithms and allocate in the first, the optimizer's second already finds all its memory.
constexpr int64_t eager_steps_before_capture = 2;

int64_t shared_rows(const data::Batch& batch) {
  return batch.shared_rows > 0 ? batch.shared_rows : batch.images.size(0);
}

/// Groups of the same sizes share a graph so; the mean is the same in any order, up to rounding. By the rows of all
/// ranks, since the ranks must agree on the order.
std::vector<data::Batch> by_size(std::vector<data::Batch> batches) {
  std::ranges::stable_sort(batches, {}, [](const auto& batch) {
    auto size = batch.images.sizes().vec();
    size.front() = shared_rows(batch);
    return size;
  });
  return batches;
}

std::string step_refusal(model::DetectorImpl& model) {
  const auto refusal = forward_refusal(model);
  if (!refusal.empty() || !model.backbone().restores_random_state()) return refusal;
  return "backbone.checkpoint draws the numbers of drop_path again";
}

}  // namespace

TrainStep::TrainStep(model::Detector model, const TrainOptions& options, c10::Device device, dist::Group* group)
    : model_(std::move(model)),
      loss_(options.loss),
      balance_(options.model.moe.balance),
      engine_(options.engine),
      device_(device),
      type_(model_->parameters().front().scalar_type()),
      group_(group),
      owners_(moe::expert_owners(*model_)),
      optimizer_(parameter_groups(*model_, options.model.backbone), options.optimizer,
                 {.group = group, .shard = options.engine.ranks.shard_optimizer, .owners = owners_}),
      meters_(model_->moe_layers().size()),
      buffers_(std::make_unique<KeptBuffers>(*model_)),
      narrow_weights_(std::make_unique<NarrowWeights>(*model_, device, options.engine.precision)),
      lr_factors_(at::ones({static_cast<int64_t>(model_parts.size())}, at::device(device))),
      balance_coefficient_(at::zeros({}, at::device(device))),
      uncertainty_coefficient_(at::zeros({}, at::device(device))),
      average_weight_(at::zeros({}, at::device(device))),
      graph_pool_(std::make_shared<core::GraphPool>(device)),
      replayer_({.name = "steps",
                 .eager_calls = eager_steps_before_capture,
                 .refusal = [model = model_]() mutable { return step_refusal(*model); }},
                engine_, device, graph_pool_),
      // Norms over all ranks are collectives, which must not hang on whether an image chose an expert here.
      avoids_waiting_(shares_norms() || (replayer_.wanted() && !model_->backbone().restores_random_state())) {
  if (engine_.ema.decay > 0) average_.emplace(*model_);
  if (group_ != nullptr && !shares_norms()) {
    statistics_ = std::make_unique<RunningStatistics>(nn::state_dict(*model_), owners_);
  }
}

TrainStep::~TrainStep() = default;

void TrainStep::set_scalars(const StepValues& values) {
  for (std::size_t i = 0; i < values.lr.size(); ++i) lr_factors_.select(0, static_cast<int64_t>(i)).fill_(values.lr[i]);
  balance_coefficient_.fill_(moe::balance_coefficient(balance_, values.epoch));
  uncertainty_coefficient_.fill_(loss::uncertainty_coefficient(loss_.uncertainty, values.progress));
  average_weight_.fill_(1.0 - ema_decay(engine_.ema, values.step + 1));
}

at::Tensor TrainStep::loss_of(const Input& input) {
  const auto format = engine_.channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  const auto images = model::to_unit_range(input.images).to(type_).contiguous(format);
  const auto masks = model::to_unit_range(input.masks).to(type_);
  model::DetectorOutput output;
  {
    const AutocastScope autocast(device_.type(), engine_.precision);
    const NarrowWeights::Scope narrow(*narrow_weights_);
    output = model_->forward(images);
  }
  auto total = loss::detection_loss(output.logits, masks, loss_, uncertainty_coefficient_);
  for (std::size_t i = 0; i < output.routings.size(); ++i) {
    total = total + moe::balance_loss(output.routings[i], balance_, balance_coefficient_);
    meters_[i].add(output.routings[i]);
  }
  return total;
}

at::Tensor TrainStep::step(const std::vector<Input>& inputs) {
  const dist::SharedStatistics shared(group_, shares_norms());
  const WithoutWaiting scope(*model_, avoids_waiting_);
  buffers_->remember();
  if (statistics_) statistics_->remember();
  optimizer_.zero_grad();
  at::Tensor mean;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto loss = loss_of(inputs[i]) * inputs[i].weight;
    if (group_ != nullptr && i + 1 == inputs.size()) buckets_->start();
    loss.backward();
    mean = mean.defined() ? mean + loss.detach() : loss.detach();
  }
  if (group_ != nullptr) {
    buckets_->finish();
    group_->sum(mean);
    if (statistics_) statistics_->average_changes(*group_);
  }
  optimizer_.step(lr_factors_, mean);
  for (auto& layer : model_->moe_layers()) layer->update_balance();
  buffers_->restore(optimizer_.left_out());
  if (average_) average_->update(average_weight_, optimizer_.left_out());
  return mean;
}

void TrainStep::gather_trainable(const std::vector<int64_t>& frozen) {
  if (group_ == nullptr || bucketed_ == frozen) return;
  buckets_.reset();  // its hooks
  std::vector<at::Tensor> trainable;
  for (const auto& item : model_->named_parameters()) {
    if (item.value().requires_grad() && !owners_.contains(item.key())) trainable.push_back(item.value());
  }
  buckets_ = std::make_unique<dist::GradientBuckets>(*group_, trainable);
  bucketed_ = frozen;
}

TrainStep::Plan& TrainStep::plan_for(const std::vector<data::Batch>& batches) {
  const auto& frozen = model_->backbone().frozen();
  PlanKey key{{static_cast<int64_t>(frozen.stages), frozen.batch_norms}};
  gather_trainable(key.front());
  for (const auto& batch : batches) {
    key.push_back(batch.images.sizes().vec());
    key.back().push_back(shared_rows(batch));
  }
  std::erase_if(plans_, [&](const auto& item) { return item.first.front() != key.front(); });  // thawing goes one way
  auto& plan = plans_[key];
  for (std::size_t i = plan.inputs.size(); i < batches.size(); ++i) {
    const auto part = static_cast<double>(batches[i].images.size(0)) / static_cast<double>(shared_rows(batches[i]));
    plan.inputs.push_back({at::empty_like(batches[i].images, device_), at::empty_like(batches[i].masks, device_),
                           part / static_cast<double>(batches.size())});
  }
  for (std::size_t i = 0; i < batches.size(); ++i) {
    plan.inputs[i].images.copy_(batches[i].images, /*non_blocking=*/true);
    plan.inputs[i].masks.copy_(batches[i].masks, /*non_blocking=*/true);
  }
  return plan;
}

void TrainStep::gather_experts() {
  if (owners_.empty()) return;
  moe::gather_experts(*model_, *group_);
  if (average_) dist::fill_from_owners(average_->state(), owners_, *group_);
}

at::Tensor TrainStep::run(const std::vector<data::Batch>& batches, const StepValues& values) {
  const core::SideStream stream(device_);
  set_scalars(values);
  auto& plan = plan_for(by_size(batches));
  replayed_ = replayer_.run(plan.replay, plan.inputs.front().images.size(0), [&] { plan.loss = step(plan.inputs); });
  return plan.loss.clone();
}

}  // namespace codmoe::engine
