// What a run says of itself: metrics.jsonl for programs, an event file for TensorBoard.
#pragma once

#include <filesystem>
#include <fstream>

#include "codmoe/core/options_json.h"
#include "codmoe/engine/event_file.h"

namespace codmoe::engine {

class RunLog {
 public:
  /// Goes on with `folder`/metrics.jsonl and begins a new event file. What they hold of steps after `step` is dropped
  /// first: a resumed run writes it again.
  RunLog(const std::filesystem::path& folder, int64_t step);

  /// Adds a line, an object with "step", to metrics.jsonl and its scalars() to the event file.
  /// @throws core::Error where it cannot be written.
  void write(const core::Json& line);

 private:
  std::filesystem::path file_;
  std::ofstream stream_;
  EventFile events_;
};

/// The numbers of a line by their path: {"loss": 1, "val": {"IoU": 2}} gives train/loss and val/IoU. Step and epoch are
/// TensorBoard's axis, not values.
std::vector<tfevents::Scalar> scalars(const core::Json& line);

}  // namespace codmoe::engine
