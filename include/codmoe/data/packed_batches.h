// Batches as a device gets them: decoded samples of different sizes, one after another in a buffer.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "codmoe/data/batch_source.h"
#include "codmoe/data/samples.h"

namespace codmoe::data {

/// What ops::augment makes a batch of.
struct PackedBatch {
  std::vector<at::Tensor> pixels;  ///< uint8 [N] each, to be laid end to end: mostly one
  at::Tensor rows_bn;              ///< the rows of ops::augment
  int64_t side = 0;                ///< of the batch
  std::vector<std::string> names;
  int64_t replaced = 0, shared_rows = 0;  ///< see Batch

  int64_t bytes() const;
};

/// Worker threads decode (or copy kept samples) into a ring of buffers that are used again and again. The samples of a
/// batch lie in the order in which they were ready; their places and everything else are those of BatchSource.
class PackedBatches {
 public:
  /// @param pinned  buffers in page-locked memory, for copies to a CUDA device
  /// @throws core::Error where `drop_last` leaves no batch.
  PackedBatches(std::shared_ptr<const Samples> samples, const LoaderOptions& options, const AugmentOptions& augment,
                uint64_t seed, bool pinned);
  ~PackedBatches();
  PackedBatches(const PackedBatches&) = delete;
  PackedBatches& operator=(const PackedBatches&) = delete;

  /// Begins an epoch; what was left of another is dropped, and its buffers are written from now on.
  void start(int64_t epoch, int64_t first_batch);
  /// Batches that are filled or held at once: LoaderOptions::prefetch. Of those waited for, so many can be held.
  int64_t window() const;
  int64_t batches_per_epoch() const;

  /// One batch after the other; each keeps its buffer until release().
  /// @throws core::Error naming a file that can't be read; nothing more comes then before a start().
  const PackedBatch& wait(int64_t batch);
  /// Whether wait() would return at once.
  bool is_ready(int64_t batch);
  /// Gives back the buffer of the oldest batch that is held.
  void release();

 private:
  class Ring;
  std::unique_ptr<Ring> ring_;
};

}  // namespace codmoe::data
