// One optimizer step: forward, loss, backward, update.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codmoe/data/batch_source.h"
#include "codmoe/dist/gradient_buckets.h"
#include "codmoe/engine/ema.h"
#include "codmoe/engine/optimizer.h"
#include "codmoe/engine/replay.h"
#include "codmoe/engine/schedule.h"
#include "codmoe/moe/telemetry.h"

namespace codmoe::engine {

class KeptBuffers;
class NarrowWeights;
class RunningStatistics;

/// On CUDA, steps on batches of sizes seen before are replayed from a CUDA graph: the first two steps run kernel by
/// kernel, the third is captured. What changes between steps (images, learning rate, coefficients, random numbers) lies
/// on the device. The numbers are those of a step run kernel by kernel.
///
/// Where several ranks train, each has a part of every batch, and the step is that on the whole batch: its loss is the
/// mean over all images, and gradients are summed over the ranks while the backward pass runs. Batch norms take their
/// statistics from a rank's part, or with ranks.sync_norm from the whole batch; running statistics are the same on all
/// ranks.
class TrainStep {
 public:
  /// `model` lies on `device` already, with the same weights on every rank of `group`; null: there is one. Where its
  /// experts are to be spread (SparseCODMoEImpl::spread), they are.
  TrainStep(model::Detector model, const TrainOptions& options, c10::Device device, dist::Group* group = nullptr);
  ~TrainStep();

  /// Steps on the mean gradient of `batches`, the smaller images first. Where it or the loss is not finite, weights,
  /// their average, running statistics and selection biases stay as they are. Returns the mean loss, a scalar on the
  /// device: reading it waits.
  at::Tensor run(const std::vector<data::Batch>& batches, const StepValues& values);

  Optimizer& optimizer() { return optimizer_; }
  /// Of the weights; null where engine.ema is off.
  WeightAverage* average() { return average_ ? &*average_ : nullptr; }
  /// One a MoE layer.
  std::vector<moe::LoadMeter>& meters() { return meters_; }
  /// Makes the weights, and their averages, whole on every rank where experts are spread: to be called by all ranks
  /// before a checkpoint.
  void gather_experts();
  /// Whether the last step was replayed from a graph.
  bool replayed() const { return replayed_; }
  /// Memory of the steps' graphs. What is replayed between steps may share it, since nothing but gradients lies there
  /// from one step to the next, and each step writes its own: weights, their average, the optimizer's state, the
  /// gradient's norm and all counts were made by the first steps, which run kernel by kernel, and lie outside.
  const std::shared_ptr<core::GraphPool>& graph_pool() const { return graph_pool_; }

 private:
  /// A batch on the device, uint8 as it came.
  struct Input {
    at::Tensor images, masks;
    double weight;  ///< this rank's part of all ranks' images, over the number of batches of a step
  };
  /// Steps on batches of the same sizes, with the same parts frozen.
  struct Plan {
    std::vector<Input> inputs;
    at::Tensor loss;  ///< of the last step
    Replay replay;
  };
  /// What is frozen, then of each batch in order its size and the number of all ranks' images: it is the same step on
  /// every rank, so that all capture the same one.
  using PlanKey = std::vector<std::vector<int64_t>>;

  bool shares_norms() const { return group_ != nullptr && engine_.ranks.sync_norm; }
  Plan& plan_for(const std::vector<data::Batch>& batches);
  /// Gradients of which are to be summed over the ranks: what is trained changes where parts thaw.
  void gather_trainable(const std::vector<int64_t>& frozen);
  at::Tensor loss_of(const Input& input);
  at::Tensor step(const std::vector<Input>& inputs);
  void set_scalars(const StepValues& values);

  model::Detector model_;
  loss::DetectionLossOptions loss_;
  moe::BalanceOptions balance_;
  EngineOptions engine_;
  c10::Device device_;
  at::ScalarType type_;  // of the weights
  dist::Group* group_;
  dist::Owners owners_;  // of experts that are spread
  Optimizer optimizer_;
  std::vector<moe::LoadMeter> meters_;
  std::unique_ptr<KeptBuffers> buffers_;
  std::unique_ptr<NarrowWeights> narrow_weights_;
  std::unique_ptr<RunningStatistics> statistics_;  // where each rank's norms have their own
  std::optional<WeightAverage> average_;
  at::Tensor lr_factors_;                                                      // [parts], on the device
  at::Tensor balance_coefficient_, uncertainty_coefficient_, average_weight_;  // scalars on the device
  std::optional<std::vector<int64_t>> bucketed_;  // what was frozen when the buckets were made
  std::unique_ptr<dist::GradientBuckets> buckets_;
  std::shared_ptr<core::GraphPool> graph_pool_;
  Replayer replayer_;
  bool avoids_waiting_;  // for the routes of an image
  std::map<PlanKey, Plan> plans_;
  bool replayed_ = false;
};

}  // namespace codmoe::engine
