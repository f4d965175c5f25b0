// A TensorBoard event file of a run.
#pragma once

#include <filesystem>
#include <fstream>

#include "codmoe/engine/tfevents.h"

namespace codmoe::engine {

class EventFile {
 public:
  /// Makes `folder`/events.out.tfevents.TIME.HOST, a name that sorts behind those of the folder's earlier files. Steps
  /// after `step` in those files no longer hold: a resumed run writes them again, and TensorBoard forgets the old ones.
  /// @throws core::Error where the file cannot be made.
  EventFile(const std::filesystem::path& folder, int64_t step);

  /// Adds values of a step; they are in the file when this returns. @throws core::Error where they cannot be written.
  void write(int64_t step, std::span<const tfevents::Scalar> scalars);
  void write(int64_t step, std::span<const tfevents::Histogram> histograms);
  void write(int64_t step, std::span<const tfevents::Image> images);

  const std::filesystem::path& path() const { return path_; }

 private:
  void append(const std::string& event);

  std::filesystem::path path_;
  std::ofstream stream_;
};

}  // namespace codmoe::engine
