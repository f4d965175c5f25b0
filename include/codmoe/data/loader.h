// Batches on the CPU: read, augmented and collated by worker threads ahead of the consumer.
#pragma once

#include <memory>

#include "codmoe/data/batch_source.h"
#include "codmoe/data/samples.h"

namespace codmoe::data {

/// Worker threads read, augment and collate ahead of the consumer; their number changes nothing in the batches.
class Loader : public BatchSource {
 public:
  /// @throws core::Error where `drop_last` leaves no batch.
  Loader(std::shared_ptr<const Samples> samples, const LoaderOptions& options, const AugmentOptions& augment,
         uint64_t seed);
  ~Loader() override;
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  void start(int64_t epoch, int64_t first_batch = 0) override;
  std::optional<Batch> next() override;
  int64_t batches_per_epoch() const override;

 private:
  class Workers;
  std::unique_ptr<Workers> workers_;
};

/// How many workers a loader has.
int64_t worker_count(const LoaderOptions& options);

}  // namespace codmoe::data
