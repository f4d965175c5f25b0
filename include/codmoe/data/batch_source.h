// Where batches come from: files read as they are needed, or samples that are kept decoded.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codmoe/core/options.h"
#include "codmoe/data/augment.h"
#include "codmoe/data/dataset.h"
#include "codmoe/data/samples.h"

namespace codmoe::data {

/// B samples of one size.
struct Batch {
  at::Tensor images;  ///< uint8 [B, 3, S, S], RGB
  at::Tensor masks;   ///< uint8 [B, 1, S, S], 0 ... 255, soft at the edges
  std::vector<std::string> names;
  int64_t replaced = 0;     ///< rows whose own sample was skipped: they hold another one (donors don't count)
  int64_t shared_rows = 0;  ///< B of the whole batch, of which a rank may hold a part
};

/// Which part of every batch a process loads: of its rows in order, as even parts as there are ranks.
struct Shard {
  int64_t rank = 0, ranks = 1;
};

/// How a dataset is cut into batches. Where several processes train, batches are those of all together.
struct LoaderOptions {
  int64_t batch_size = 16;
  int64_t size = 352;                  ///< side of the square batch, pixels
  std::vector<double> scales = {1.0};  ///< each batch draws one: its side is `size` times that, a multiple of 32
  int64_t threads = 0;                 ///< workers; 0: one a core, 16 at most
  int64_t prefetch = 4;                ///< batches in preparation or ready, which bounds the memory
  bool shuffle = true;                 ///< a new order every epoch
  bool drop_last = false;              ///< leave out a last batch that is not full
  Shard shard = {};                    ///< no option: what the process is among others

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("batch_size", batch_size, core::between(1, 65536));
    visit("size", size, core::between(8, 8192));
    visit("scales", scales, core::between(0.1, 4));
    visit("threads", threads, core::between(0, 1024));
    visit("prefetch", prefetch, core::between(1, 1024));
    visit("shuffle", shuffle);
    visit("drop_last", drop_last);
  }
  void check() const;
  /// Of all that a batch may have.
  int64_t largest_side() const;
};

/// Of an epoch. @throws core::Error where `drop_last` leaves none, or a batch has no row for each rank.
int64_t batch_count(const Dataset& dataset, const LoaderOptions& options);

/// Where decoded samples are kept between epochs. The batches are the same bytes wherever that is; on a CUDA device
/// other ones than on the CPU, since it interpolates without OpenCV's rounding.
enum class Cache {
  automatic,  ///< gpu on a CUDA device where they take no more than a third of its free memory, else ram where they
              ///< take no more than half of what is available, else none; says which
  none,       ///< files are read in every epoch
  ram,        ///< decoded once, in main memory
  gpu         ///< decoded once, on the device
};
constexpr auto enum_names(Cache) {
  return core::names<Cache>(
      {{"auto", Cache::automatic}, {"none", Cache::none}, {"ram", Cache::ram}, {"gpu", Cache::gpu}});
}

/// Batches of an epoch in order. Which batch holds what, and how each sample is changed, depends on (seed, epoch,
/// position in the epoch) and the kind of device alone, and an epoch can be resumed at any batch.
///
/// One consumer: start() and next() are called from one thread. Destruction and start() may come at any moment.
class BatchSource {
 public:
  virtual ~BatchSource() = default;

  /// Begins an epoch at `first_batch` (0 ... batches_per_epoch()); what was left of another is dropped.
  /// @throws c10::Error for another first batch.
  virtual void start(int64_t epoch, int64_t first_batch = 0) = 0;

  /// The next batch in order; nothing once the epoch is over, or before start().
  /// @throws core::Error naming the file, at the batch that holds it; the epoch is over then.
  virtual std::optional<Batch> next() = 0;

  /// Whole batches, and a last one that is not full unless `drop_last`.
  virtual int64_t batches_per_epoch() const = 0;

  /// Bytes of samples that stay on the CUDA device from epoch to epoch.
  virtual int64_t device_bytes() const { return 0; }
};

/// The source of a training run on `device`. Where samples are kept they are decoded here, with a progress line. Those
/// that are more than twice as large as the batches are reduced first, see reduce(). On the CPU worker threads change
/// the samples; on a CUDA device they only decode, and batches are made there.
/// @throws core::Error naming a file that is damaged, where what was asked for doesn't fit, or where `drop_last` leaves
///   no batch; core::UsageError for `gpu` without a CUDA device.
std::unique_ptr<BatchSource> make_batch_source(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options,
                                               const AugmentOptions& augment, Cache cache, uint64_t seed,
                                               c10::Device device, OnError on_error = OnError::fail);

}  // namespace codmoe::data
