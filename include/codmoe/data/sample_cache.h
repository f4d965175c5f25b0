// The samples of a dataset, decoded and kept.
#pragma once

#include <memory>
#include <vector>

#include "codmoe/data/augment.h"
#include "codmoe/data/dataset.h"

namespace codmoe::data {

class SampleCache {
 public:
  /// Reads all samples on `threads` threads (0: one a core). A side that is at least twice `size` pixels is reduced by
  /// a whole factor, so that one between `size` and twice that remains. Nothing where they would take more than
  /// `budget` bytes; reading stops then. @throws core::Error naming a damaged file.
  static std::shared_ptr<const SampleCache> read(const Dataset& dataset, int64_t size, int64_t budget, int64_t threads);

  const Sample& sample(int64_t index) const { return samples_.at(static_cast<std::size_t>(index)); }
  int64_t size() const { return static_cast<int64_t>(samples_.size()); }
  int64_t bytes() const { return bytes_; }

 private:
  std::vector<Sample> samples_;
  int64_t bytes_ = 0;
};

}  // namespace codmoe::data
