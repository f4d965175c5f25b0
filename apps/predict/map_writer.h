// Predicted maps as files.
#pragma once

#include <deque>
#include <filesystem>
#include <future>
#include <vector>

#include "codmoe/core/worker_pool.h"
#include "codmoe/engine/predictor.h"

namespace codmoe::apps {

enum class MapFormat {
  soft,  ///< the probability, 0 ... 255
  mask   ///< 255 where the probability is one half or more, else 0
};

struct MapWriterOptions {
  std::filesystem::path folder;
  MapFormat format = MapFormat::soft;
  bool overlay = false;  ///< NAME.overlay.png too: the photograph, red where the map is
  int64_t threads = 0;   ///< 0: one a core
};

/// Writes folder/NAME.png for each image NAME.*, on threads of its own.
class MapWriter {
 public:
  /// Makes the folder.
  /// @throws core::UsageError where two files, or a file and its input, would be one; core::Error where the folder
  ///   cannot be written into
  MapWriter(const MapWriterOptions& options, const std::vector<std::filesystem::path>& files);

  /// Queues the map of the file; waits while many are queued. @throws core::Error of an earlier one
  void write(engine::FilePrediction prediction);
  /// Waits for all. @throws core::Error of the first that failed
  void finish() { wait_until_left(0); }

 private:
  void wait_until_left(std::size_t most);
  void write_now(const engine::FilePrediction& prediction) const;

  MapWriterOptions options_;
  const std::vector<std::filesystem::path>& files_;
  std::deque<std::future<void>> queued_;
  core::WorkerPool pool_;
};

/// The photograph, red where the map is: uint8 [H, W, 3] of uint8 [H, W, 3] and [H, W].
at::Tensor overlay(const at::Tensor& image_hw3, const at::Tensor& map_hw);

}  // namespace codmoe::apps
