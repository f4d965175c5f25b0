// Batches of a dataset, read, augmented and collated by worker threads ahead of the consumer.
#pragma once

#include <memory>

#include "codmoe/data/batch_source.h"
#include "codmoe/data/sample_cache.h"

namespace codmoe::data {

/// Worker threads read, augment and collate ahead of the consumer; their number changes nothing in the batches.
class Loader : public BatchSource {
 public:
  /// @param cache  decoded samples in the order of `dataset`, where files need not be read; may be null
  /// @param pin_memory  batches lie in page-locked memory, where CUDA is there
  /// @throws core::Error where `drop_last` leaves no batch.
  Loader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options, const AugmentOptions& augment,
         uint64_t seed, bool pin_memory, std::shared_ptr<const SampleCache> cache = nullptr);
  ~Loader() override;
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  void start(int64_t epoch, int64_t first_batch = 0) override;
  std::optional<Batch> next() override;
  int64_t batches_per_epoch() const override;
  Cache place() const override;

 private:
  class Workers;
  std::unique_ptr<Workers> workers_;
};

/// How many workers a loader has.
int64_t worker_count(const LoaderOptions& options);

/// Reads photograph and mask of one item. @throws core::Error naming the file that is missing, unreadable or of another
///   size than its partner.
Sample read_sample(const Item& item);

}  // namespace codmoe::data
