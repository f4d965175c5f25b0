// Batches of samples that lie on a GPU and are changed there.
#pragma once

#include <memory>
#include <vector>

#include "codmoe/data/batch_source.h"
#include "codmoe/data/sample_cache.h"
#include "codmoe/ops/augment_row.h"

namespace codmoe::data {

class ResidentLoader : public BatchSource {
 public:
  /// Copies the cache's samples, which are in the order of `dataset`, to the device.
  ResidentLoader(std::shared_ptr<const Dataset> dataset, const SampleCache& cache, const LoaderOptions& options,
                 const AugmentOptions& augment, uint64_t seed, c10::Device device);

  void start(int64_t epoch, int64_t first_batch = 0) override;
  std::optional<Batch> next() override;
  int64_t batches_per_epoch() const override { return batches_; }
  Cache place() const override { return Cache::gpu; }

 private:
  ops::AugmentRow row_of(int64_t index, int64_t side) const;

  const std::shared_ptr<const Dataset> dataset_;
  const LoaderOptions options_;
  const AugmentOptions augment_;
  const uint64_t seed_;
  const c10::Device device_;
  const int64_t batches_;
  at::Tensor pixels_;                        // uint8 [N] on the device
  std::vector<ops::AugmentSource> sources_;  // where each sample lies in it
  int64_t epoch_ = 0, next_batch_ = 0;
  std::vector<int64_t> order_;  // of this epoch; empty before start()
};

}  // namespace codmoe::data
