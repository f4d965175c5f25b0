#include "codmoe/data/resized_batches.h"

#include <ATen/ATen.h>

#include "codmoe/core/progress.h"
#include "codmoe/data/loader.h"

namespace codmoe::data {

std::vector<Batch> resized_batches(const std::shared_ptr<const Dataset>& dataset, const LoaderOptions& options,
                                   c10::Device device) {
  const bool reduced = dataset->reduced_for() > 0;  // else resized in one go
  const auto samples = std::make_shared<Samples>(dataset, reduced ? options.size : 0);
  const LoaderOptions in_order{.batch_size = options.batch_size,
                               .size = options.size,
                               .threads = options.threads,
                               .prefetch = options.prefetch,
                               .shuffle = false};
  Loader loader(samples, in_order, {.enabled = false}, /*seed=*/0);
  core::ProgressLine line("decoding", dataset->size(), "images");
  std::vector<Batch> batches;
  int64_t done = 0;
  loader.start(0);
  while (auto batch = loader.next()) {
    line.update(done += batch->images.size(0));
    batch->images = batch->images.to(device);
    batch->masks = batch->masks.to(device);
    batches.push_back(std::move(*batch));
  }
  return batches;
}

}  // namespace codmoe::data
