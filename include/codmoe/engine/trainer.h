// A whole training run.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>

#include "codmoe/core/progress.h"
#include "codmoe/engine/checkpoint.h"
#include "codmoe/engine/run_lock.h"
#include "codmoe/engine/run_log.h"
#include "codmoe/engine/train_step.h"
#include "codmoe/engine/validator.h"

namespace codmoe::engine {

/// Trains a detector by its options, in a run folder. The same options and seed give the same weights, bit for bit, on
/// the CPU, and on CUDA with `deterministic`; a run that was stopped and resumed gives those of one left alone.
///
/// Several ranks train together, each with a Trainer on the same options: all know the same numbers and decide alike,
/// the leader writes the folder. What it writes doesn't depend on how many they are.
class Trainer {
 public:
  /// Locks the run folder, for its life, and goes on from `step_folder` where one is named: the files that the run
  /// began with (init.checkpoint, backbone.weights) need not be there any more. @throws core::Error for data or weights
  /// that cannot be read, or where another process trains in the folder.
  Trainer(const TrainOptions& options, std::filesystem::path run_folder, c10::Device device,
          const std::filesystem::path& step_folder = {}, Ranks ranks = {});

  /// Goes on from a step folder. @throws core::Error where it doesn't fit the options or the training set.
  void resume(const std::filesystem::path& step_folder);

  /// Trains to the last epoch, or until engine.patience is at its end. @throws core::Interrupted after a checkpoint,
  /// when SIGINT or SIGTERM came; core::Error where the GPU's memory doesn't hold a step, saying what to lower.
  void run();

  const Progress& progress() const { return progress_; }
  model::Detector& model() { return model_; }

 private:
  int64_t steps_per_epoch() const;
  std::vector<data::Batch> next_group();
  void train();
  void run_epoch(core::ProgressLine& line);
  void after_step(const at::Tensor& loss, core::ProgressLine& line);
  /// Reads from the device what the log's line and the progress line say.
  void log_step();
  std::string progress_text() const;
  bool stopped_early() const;
  std::string explain_out_of_memory() const;
  void finish_epoch();
  /// How many of the epoch's batch rows hold other samples than they should, see data.on_error; warns where any do.
  int64_t take_replaced();
  /// Validates, and notes in the checkpoint of this step what that brought; makes one where it is due for that.
  /// `saved`: there is one.
  void finish_validation(bool saved);
  /// The epoch's load of each MoE layer by its number, for TensorBoard as histograms too; warns of experts that were
  /// hardly used.
  core::Json take_loads();
  /// Not where they are those of the epoch before.
  void warn_of_rare_experts(const moe::LoadReport& report, const report::ExpertLayer& layer);
  Scores validate();
  CheckpointStore checkpoints() const { return CheckpointStore(folder_ / "checkpoints"); }
  void save();
  void log(const core::Json& line) {
    if (log_) log_->write(line);
  }
  double lr_now() const;  ///< of the last step, of the model but its backbone
  Schedule schedule() const { return {options_.schedule, steps_per_epoch()}; }

  TrainOptions options_;
  std::filesystem::path folder_;
  c10::Device device_;
  Ranks ranks_;
  std::shared_ptr<const data::Dataset> train_;
  std::unique_ptr<RunLock> lock_;         // the leader's, as is the log
  std::unique_ptr<Validator> validator_;  // null without a validation set
  std::unique_ptr<data::BatchSource> batches_;
  model::Detector model_;
  TrainStep step_;
  Predictor predictor_;  // for validation, and its graphs
  Progress progress_;
  std::unique_ptr<RunLog> log_;
  at::Tensor losses_;  // since the last line of the log, on the device: sum and number of steps that were not left out
  core::Rate rate_;    // of all ranks' images, validation and checkpoints between epochs left out
  int64_t replaced_ = 0;              // of this epoch
  bool whole_epoch_ = true;           // the loads of an epoch that was resumed are those of its rest
  std::optional<double> shown_loss_;  // the mean that was read last
  std::string shown_load_;            // of the epoch so far
  std::map<std::string, std::vector<std::string>> rare_experts_;  // of the last epoch, by layer
};

}  // namespace codmoe::engine
