// One optimizer step: forward, loss, backward, update.
#pragma once

#include <vector>

#include "codmoe/data/loader.h"
#include "codmoe/engine/adamw.h"
#include "codmoe/moe/telemetry.h"

namespace codmoe::engine {

class TrainStep {
 public:
  /// `model` lies on `device` already.
  TrainStep(model::Detector model, const TrainOptions& options, c10::Device device);

  /// Steps on the mean gradient of `batches`. Returns their mean loss, a scalar on the device: reading it waits.
  at::Tensor run(const std::vector<data::Batch>& batches, int64_t epoch, double lr_factor);

  AdamW& optimizer() { return optimizer_; }
  /// One a MoE layer.
  std::vector<moe::LoadMeter>& meters() { return meters_; }

 private:
  at::Tensor loss_of(const data::Batch& batch, int64_t epoch);

  model::Detector model_;
  loss::StructureLossOptions loss_;
  moe::BalanceOptions balance_;
  EngineOptions engine_;
  c10::Device device_;
  AdamW optimizer_;
  std::vector<moe::LoadMeter> meters_;
};

}  // namespace codmoe::engine
