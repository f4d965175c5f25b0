// Batches of samples that lie on a GPU and are changed there.
#pragma once

#include <memory>
#include <vector>

#include "codmoe/data/batch_source.h"
#include "codmoe/ops/augment_row.h"

namespace codmoe::data {

class ResidentLoader : public BatchSource {
 public:
  /// Copies the samples, which are kept, to the device.
  ResidentLoader(const std::shared_ptr<const Dataset>& dataset, const Samples& samples, const LoaderOptions& options,
                 const AugmentOptions& augment, uint64_t seed, c10::Device device);

  void start(int64_t epoch, int64_t first_batch = 0) override;
  std::optional<Batch> next() override;
  int64_t batches_per_epoch() const override { return batches_; }
  int64_t device_bytes() const override { return static_cast<int64_t>(pixels_.nbytes()); }

 private:
  int64_t index_at(int64_t position) const;
  ops::AugmentRow row_at(int64_t position, int64_t side) const;

  const std::shared_ptr<const Dataset> dataset_;
  const LoaderOptions options_;
  const AugmentOptions augment_;
  const uint64_t seed_;
  const c10::Device device_;
  const int64_t batches_;
  at::Tensor pixels_;                        // uint8 [N] on the device
  std::vector<ops::AugmentSource> sources_;  // of all samples; those that are skipped have no height
  int64_t epoch_ = 0, next_batch_ = 0;
  std::vector<int64_t> order_;  // of this epoch; empty before start()
};

}  // namespace codmoe::data
