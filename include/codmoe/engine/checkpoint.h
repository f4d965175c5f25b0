// Checkpoints: folders that are whole or absent.
#pragma once

#include <filesystem>

#include "codmoe/core/options_json.h"
#include "codmoe/engine/ema.h"
#include "codmoe/engine/optimizer.h"
#include "codmoe/engine/ranks.h"

namespace codmoe::engine {

/// Where a run stands.
struct Progress {
  int64_t step = 0;              ///< optimizer steps done
  int64_t epoch = 0;             ///< epochs done
  int64_t batch = 0;             ///< batches done of the epoch under way
  std::string best_metric = {};  ///< by which the best validation is chosen
  double best_score = 0.0;       ///< where best_step is one
  int64_t best_step = -1;        ///< -1: none yet
  int64_t since_best = 0;        ///< validations behind the best
  bool unvalidated = false;      ///< the validation due after the last epoch has not ended
};

/// What a step depends on beside weights and averages: the optimizer's state and the random generators'. A collective.
core::TensorMap training_state(const Optimizer& optimizer, const Ranks& ranks = {});

/// The folder `checkpoints` of a run: `step-N/` with model.safetensors, optimizer.safetensors, state.json and,
/// where there is an average of the weights, ema.safetensors, and the relative links `last` and `best`. A step folder
/// is written beside, synced and renamed, so that no moment leaves half of one; links are replaced by a rename. One
/// process at a time: see RunLock.
class CheckpointStore {
 public:
  explicit CheckpointStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// Saves (`average` may be null), points `last` to it, and removes what is older than the newest `keep_last`.
  /// @throws core::Error naming the file; earlier checkpoints stay as they were.
  void save(const torch::nn::Module& model, const core::TensorMap& training_state, const WeightAverage* average,
            const Progress& progress, const core::Json& config, const std::string& data_fingerprint,
            int64_t keep_last) const;

  /// Whether the step is there, whole.
  bool has(int64_t step) const;

  /// Writes what the validation of the step that was saved last brought: `progress`, and `best` where it was that.
  void note_validation(const Progress& progress, bool best, int64_t keep_last) const;

  /// Makes the folder say what a run at `progress` says: `last` and `best` are its own, later steps are gone (it writes
  /// them again), and so is what a killed process left unfinished.
  void rewind_to(const Progress& progress) const;

 private:
  std::filesystem::path write_step(const torch::nn::Module& model, const core::TensorMap& training_state,
                                   const WeightAverage* average, const core::Json& state) const;
  void prune(int64_t keep_last) const;
  std::filesystem::path step_folder(int64_t step) const;
  void point_or_remove(const char* link, int64_t step) const;

  std::filesystem::path folder_;
};

/// What state.json says.
struct SavedState {
  Progress progress;
  core::Json config;
  std::string data_fingerprint;
};

/// The step folder behind a run folder (its `best` where there is one and `prefer_best`, else its `last`, or its newest
/// where that link is not there: a copy may lack it), a link or a step folder itself. @throws core::Error where there
/// is none.
std::filesystem::path find_checkpoint(const std::filesystem::path& path, bool prefer_best);

/// The weights to use a step by: ema.safetensors where it has one, else model.safetensors.
std::filesystem::path step_weights(const std::filesystem::path& step_folder);

/// Whether anything was saved in a run folder.
bool has_checkpoint(const std::filesystem::path& run_folder);

SavedState read_state(const std::filesystem::path& step_folder);

/// Restores training_state(), saved by any number of ranks (the model is loaded by nn::load_state). A rank that was not
/// there then begins its random numbers by `seed`.
void restore_training_state(const std::filesystem::path& step_folder, Optimizer& optimizer, const Ranks& ranks = {},
                            uint64_t seed = 0);
/// `average` may be null. @throws core::Error where one of the two, run and checkpoint, has an average alone.
void restore_average(const std::filesystem::path& step_folder, WeightAverage* average);

}  // namespace codmoe::engine
