// One optimizer step: forward, loss, backward, update.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "codmoe/core/cuda_graph.h"
#include "codmoe/data/batch_source.h"
#include "codmoe/engine/adamw.h"
#include "codmoe/moe/telemetry.h"

namespace codmoe::engine {

/// On CUDA, steps on batches of sizes seen before are replayed from a CUDA graph: the first two steps run kernel by
/// kernel, the third is captured. What changes between steps (images, learning rate, coefficients, random numbers) lies
/// on the device. The numbers are those of a step run kernel by kernel.
class TrainStep {
 public:
  /// `model` lies on `device` already.
  TrainStep(model::Detector model, const TrainOptions& options, c10::Device device);

  /// Steps on the mean gradient of `batches`. Returns their mean loss, a scalar on the device: reading it waits.
  at::Tensor run(const std::vector<data::Batch>& batches, int64_t epoch, double lr_factor);

  AdamW& optimizer() { return optimizer_; }
  /// Norm of the last step's gradient before clipping: a scalar on the device.
  const at::Tensor& grad_norm() const { return grad_norm_; }
  /// One a MoE layer.
  std::vector<moe::LoadMeter>& meters() { return meters_; }
  /// Whether the last step was replayed from a graph.
  bool replayed() const { return replayed_; }

 private:
  /// A batch on the device, uint8 as it came.
  struct Input {
    at::Tensor images, masks;
  };
  /// Steps on batches of the same sizes, with the same parts frozen.
  struct Plan {
    std::vector<Input> inputs;
    int64_t eager_steps = 0;
    bool captures = true;  ///< none of its steps did what a graph can't hold
    std::unique_ptr<core::CudaGraph> graph;
    at::Tensor loss;  ///< what the graph writes
  };
  using PlanKey = std::vector<std::vector<int64_t>>;  ///< what is frozen, then the sizes of each batch

  Plan& plan_for(const std::vector<data::Batch>& batches);
  at::Tensor loss_of(const Input& input);
  at::Tensor step(const std::vector<Input>& inputs);
  void capture(Plan& plan);
  /// Why steps as the last one can't be captured; empty where they can.
  std::string capture_refusal();

  model::Detector model_;
  loss::StructureLossOptions loss_;
  moe::BalanceOptions balance_;
  EngineOptions engine_;
  c10::Device device_;
  AdamW optimizer_;
  std::vector<moe::LoadMeter> meters_;
  at::Tensor lr_factor_, balance_coefficient_, grad_norm_;  // scalars on the device
  std::map<PlanKey, Plan> plans_;
  bool replayed_ = false;
  bool refusal_said_ = false;
};

}  // namespace codmoe::engine
