// Batches of a dataset, read, augmented and collated by worker threads ahead of the consumer.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codmoe/core/options.h"
#include "codmoe/data/augment.h"
#include "codmoe/data/dataset.h"

namespace codmoe::data {

/// B samples of one size, on the CPU.
struct Batch {
  at::Tensor images;  ///< uint8 [B, 3, S, S], RGB; pinned where the loader was asked to
  at::Tensor masks;   ///< uint8 [B, 1, S, S], 0 ... 255, soft at the edges
  std::vector<std::string> names;
};

/// How a dataset is cut into batches.
struct LoaderOptions {
  int64_t batch_size = 16;
  int64_t size = 352;      ///< side of the square batch, pixels
  int64_t threads = 0;     ///< workers; 0: one a core, 16 at most
  int64_t prefetch = 4;    ///< batches in preparation or ready, which bounds the memory
  bool shuffle = true;     ///< a new order every epoch
  bool drop_last = false;  ///< leave out a last batch that is not full

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("batch_size", batch_size, core::between(1, 65536));
    visit("size", size, core::between(8, 8192));
    visit("threads", threads, core::between(0, 1024));
    visit("prefetch", prefetch, core::between(1, 1024));
    visit("shuffle", shuffle);
    visit("drop_last", drop_last);
  }
};

/// Which batch holds what, and how each sample is changed, depends on (seed, epoch, position in the epoch) alone: the
/// number of threads changes nothing, and an epoch can be resumed at any batch.
///
/// One consumer: start() and next() are called from one thread. Destruction and start() may come at any moment.
class Loader {
 public:
  /// @param pin_memory  batches lie in page-locked memory, where CUDA is there
  /// @throws core::Error where `drop_last` leaves no batch.
  Loader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options, const AugmentOptions& augment,
         uint64_t seed, bool pin_memory);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// Begins an epoch at `first_batch` (0 ... batches_per_epoch()); what was left of another is dropped.
  /// @throws c10::Error for another first batch.
  void start(int64_t epoch, int64_t first_batch = 0);

  /// The next batch in order; nothing once the epoch is over, or before start().
  /// @throws core::Error naming the file, at the batch that holds it; the epoch is over then.
  std::optional<Batch> next();

  /// Whole batches, and a last one that is not full unless `drop_last`.
  int64_t batches_per_epoch() const;

 private:
  class Workers;
  std::unique_ptr<Workers> workers_;
};

/// Reads photograph and mask of one item. @throws core::Error naming the file that is missing, unreadable or of another
///   size than its partner.
Sample read_sample(const Item& item);

}  // namespace codmoe::data
