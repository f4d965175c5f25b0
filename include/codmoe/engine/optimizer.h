// Optimizers over all parameters at once, without reading anything back from the device.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "codmoe/core/safetensors.h"
#include "codmoe/dist/owned_state.h"
#include "codmoe/engine/optimizer_options.h"

namespace codmoe::dist {
class Shards;
}  // namespace codmoe::dist

namespace codmoe::engine {

/// Parameters that learn, or stand still, for the same steps.
struct ParameterGroup {
  std::string name;       ///< of their step count in the optimizer's state
  double lr_scale = 1.0;  ///< on options.lr
  int64_t part = 0;       ///< which factor of step() holds for them
  std::vector<std::pair<std::string, at::Tensor>> parameters = {};
};

/// What the ranks of a run do together in an optimizer; none: each does all.
struct OptimizerRanks {
  dist::Group* group = nullptr;  ///< must outlive the optimizer
  bool shard = true;             ///< the averages are shared out
  /// Of parameters that their owner alone has gradients of, which are those of all ranks' images, and moves. On the
  /// other ranks they may lie on another device, and nothing but their names and shapes is looked at.
  dist::Owners owners = {};
};

class UpdateRule;
struct UpdateScalars;

/// AdamW, SGD or Lion (optimizer_options.h) as operations on all parameters of one rate together, with everything that
/// changes from step to step on the device: LibTorch's C++ optimizers loop over the parameters one by one.
///
/// Where nothing flowed into a parameter its gradient is zero: an expert that no image chose is decayed and carried by
/// its momentum like the others, whatever the dispatch. Parameters that need no gradient take
/// part in nothing: they, their averages and their group's step count stay as they are.
///
/// Given the ranks of a run, it shares the averages out (ZeRO stage 1, dist/shards.h): each rank keeps those of its own
/// parameters, frozen ones counted in, moves these alone, and sends them to all. Every rank must hold the same
/// parameters and call alike; at step() all gradients must be the same on all ranks, but for those of parameters with
/// an owner. The weights are bit for bit those of an optimizer that shares nothing out. The gradients' norm, and
/// whether a step is left out, are those of all parameters everywhere; where some have owners, step() is a collective
/// for that.
class Optimizer {
 public:
  /// @throws core::BadOption for an unknown name; core::Error without a parameter to train.
  Optimizer(const std::vector<ParameterGroup>& groups, const OptimizerOptions& options, OptimizerRanks ranks = {});
  ~Optimizer();
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// To be called after the requires_grad of a parameter changed.
  void update_trainable();

  /// Frees the gradients: the next backward's become the parameters' own, without a copy or a sum.
  void zero_grad();

  /// One step at options.lr * lr_scale * lr_factors[part]; lr_factors: [parts] on the parameters' device (float32 on
  /// CUDA). Gradients are clipped first. Where their norm or the loss (a scalar on the device; may be undefined) is not
  /// finite, the step is left out: no parameter, average or step count changes. What step() reads and writes lies on
  /// the device, so that a captured CUDA graph can hold it.
  void step(const at::Tensor& lr_factors, const at::Tensor& loss = {});

  /// Where the parameters lie.
  c10::Device device() const { return norm_.device(); }

  /// Of the last step, before clipping; a float32 scalar on the device, always at the same address, as are those below.
  const at::Tensor& gradient_norm() const { return norm_; }
  /// 1 where the last step was left out, else 0.
  const at::Tensor& left_out() const { return left_out_; }
  /// Steps that were left out.
  const at::Tensor& skipped() const { return skipped_; }
  /// Steps that were left out since the last that was not.
  const at::Tensor& skipped_in_row() const { return skipped_in_row_; }

  /// "AVERAGE.PARAMETER" ("exp_avg" and "exp_avg_sq" of AdamW and "exp_avg" of Lion, "momentum_buffer" of SGD),
  /// "step.GROUP", "skipped", "skipped_in_row": all that step() depends on beside the parameters. To be used before the
  /// next step(), which may change the tensors.
  ///
  /// Names and values don't tell whether, and over how many ranks, averages are shared out or have owners. Where
  /// they do, this is a collective: rank 0 gets all, other ranks' averages in host memory, and the others get nothing.
  core::TensorMap state() const;
  /// All of state(), on every rank, which keeps its part. No collective.
  /// @throws core::Error for missing, unexpected or mis-shaped tensors.
  void load_state(const core::TensorMap& state);

 private:
  struct Slot;
  struct Batch;
  struct Entry;
  void add(const ParameterGroup& group);
  void share_out();
  void add_averages(Slot& slot);
  Batch& batch_of(const Slot& slot);
  void update(Batch& batch, const std::vector<at::Tensor>& gradients, const UpdateScalars& scalars);
  void judge(const std::vector<std::vector<at::Tensor>>& gradients, const at::Tensor& loss);
  at::Tensor norm_of(const std::vector<std::vector<at::Tensor>>& gradients) const;
  std::map<std::string, Entry> entries() const;
  at::Tensor sent_to_lead(const Entry& entry) const;

  OptimizerOptions options_;
  OptimizerRanks ranks_;
  int64_t rank_ = 0;  // also where every rank does all
  std::unique_ptr<UpdateRule> rule_;
  std::vector<Slot> slots_;
  std::unique_ptr<dist::Shards> shards_;  // of the parameters without owner; null where nothing is shared out
  std::vector<Batch> batches_;            // of the trainable parameters alone
  std::vector<at::Tensor> steps_;         // of the groups that have any
  at::Tensor norm_, left_out_, skipped_, skipped_in_row_;
};

}  // namespace codmoe::engine
