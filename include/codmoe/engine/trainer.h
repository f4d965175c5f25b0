// A whole training run.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>

#include "codmoe/core/progress.h"
#include "codmoe/engine/checkpoint.h"
#include "codmoe/engine/predictor.h"
#include "codmoe/engine/run_log.h"
#include "codmoe/engine/train_step.h"

namespace codmoe::engine {

/// Trains a detector by its options, in a run folder. The same options and seed give the same weights, bit for bit, on
/// the CPU, and on CUDA with `deterministic`; a run that was stopped and resumed gives those of one left alone.
class Trainer {
 public:
  /// @throws core::Error for data or weights that cannot be read.
  Trainer(const TrainOptions& options, std::filesystem::path run_folder, c10::Device device);

  /// Goes on from a step folder. @throws core::Error where it doesn't fit the options or the training set.
  void resume(const std::filesystem::path& step_folder);

  /// Trains to the last epoch. @throws core::Interrupted after a checkpoint, when SIGINT or SIGTERM came.
  void run();

  const Progress& progress() const { return progress_; }
  model::Detector& model() { return model_; }

 private:
  int64_t steps_per_epoch() const;
  std::vector<data::Batch> next_group();
  void run_epoch(core::ProgressLine& line);
  void after_step(const at::Tensor& loss, core::ProgressLine& line);
  void finish_epoch();
  /// How many of the epoch's batch rows hold other samples than they should, see data.on_error; warns where any do.
  int64_t take_replaced();
  /// The epoch's load of each MoE layer by its number; warns of experts that were hardly used.
  core::Json take_loads();
  /// Not where they are those of the epoch before.
  void warn_of_rare_experts(const moe::LoadReport& report, const report::ExpertLayer& layer);
  metrics::Summary validate();
  void save(bool best);
  double lr_factor_now() const;

  TrainOptions options_;
  std::filesystem::path folder_;
  c10::Device device_;
  std::shared_ptr<const data::Dataset> train_, val_;
  std::unique_ptr<data::BatchSource> batches_;
  model::Detector model_;
  TrainStep step_;
  Progress progress_;
  std::unique_ptr<RunLog> log_;
  at::Tensor loss_sum_;  // of the steps since the last line of the log, on the device
  int64_t loss_steps_ = 0;
  int64_t replaced_ = 0;              // of this epoch
  bool whole_epoch_ = true;           // the loads of an epoch that was resumed are those of its rest
  std::optional<double> shown_loss_;  // the mean that was read last
  std::map<std::string, std::vector<std::string>> rare_experts_;  // of the last epoch, by layer
};

}  // namespace codmoe::engine
