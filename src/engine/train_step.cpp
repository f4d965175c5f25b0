#include "codmoe/engine/train_step.h"

#include <ATen/ATen.h>

#include "codmoe/engine/freezing.h"
#include "codmoe/engine/precision.h"

namespace codmoe::engine {

TrainStep::TrainStep(model::Detector model, const TrainOptions& options, c10::Device device)
    : model_(std::move(model)),
      loss_(options.loss),
      balance_(options.model.moe.balance),
      engine_(options.engine),
      device_(device),
      optimizer_(parameter_groups(*model_, options.model.backbone), options.optimizer),
      meters_(model_->moe_layers().size()) {}

at::Tensor TrainStep::loss_of(const data::Batch& batch, int64_t epoch) {
  const auto format = engine_.channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  const auto images = model::to_unit_range(batch.images.to(device_, /*non_blocking=*/true)).contiguous(format);
  const auto masks = model::to_unit_range(batch.masks.to(device_, /*non_blocking=*/true));
  model::DetectorOutput output;
  {
    const AutocastScope autocast(device_.type(), engine_.precision);
    output = model_->forward(images);
  }
  auto total = loss::structure_loss(output.logits, masks, loss_);
  for (std::size_t i = 0; i < output.routings.size(); ++i) {
    total = total + moe::balance_loss(output.routings[i], balance_, epoch);
    meters_[i].add(output.routings[i]);
  }
  return total;
}

at::Tensor TrainStep::run(const std::vector<data::Batch>& batches, int64_t epoch, double lr_factor) {
  optimizer_.zero_grad();
  at::Tensor mean;
  for (const auto& batch : batches) {
    const auto loss = loss_of(batch, epoch) / static_cast<double>(batches.size());
    loss.backward();
    mean = mean.defined() ? mean + loss.detach() : loss.detach();
  }
  optimizer_.step(lr_factor);
  for (auto& layer : model_->moe_layers()) layer->update_balance();
  return mean;
}

}  // namespace codmoe::engine
