// What a run says of itself: metrics.jsonl for programs, an event file for TensorBoard.
#pragma once

#include <filesystem>
#include <fstream>

#include "codmoe/core/options_json.h"
#include "codmoe/engine/checkpoint.h"
#include "codmoe/engine/event_file.h"

namespace codmoe::engine {

class RunLog {
 public:
  /// Goes on with `folder`/metrics.jsonl and begins a new event file. What they hold of later steps and epochs than
  /// those of `progress` is dropped first, and the line of a validation that it says has not ended: a resumed run
  /// writes them again.
  RunLog(const std::filesystem::path& folder, const Progress& progress);

  /// Adds a line, an object with "step", to metrics.jsonl and its scalars() to the event file.
  /// @throws core::Error where it cannot be written.
  void write(const core::Json& line);
  /// For the event file alone.
  void write(int64_t step, std::span<const tfevents::Histogram> histograms) { events_.write(step, histograms); }
  void write(int64_t step, std::span<const tfevents::Image> images) { events_.write(step, images); }

 private:
  std::filesystem::path file_;
  std::ofstream stream_;
  EventFile events_;
};

/// The numbers of a line by their path: {"loss": 1, "val": {"IoU": 2}} gives train/loss and val/IoU. Step and epoch are
/// TensorBoard's axis, not values. Scores with "val_resolution": "network" are another curve: val_network/IoU.
std::vector<tfevents::Scalar> scalars(const core::Json& line);

/// The scores of the validation after `step`, from the run's metrics.jsonl: {"IoU": …}; empty where there was none.
core::Json validation_scores(const std::filesystem::path& run_folder, int64_t step);

}  // namespace codmoe::engine
