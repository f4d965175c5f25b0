// The state of one pass over a dataset, shared by the loader's consumer and its workers.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "codmoe/data/loader.h"

namespace codmoe::data {

/// A batch in preparation. Workers fill different rows, so they need no lock to write them.
struct Slot {
  Batch batch;
  int64_t first = 0;     ///< position of its first sample in the epoch
  int64_t claimed = 0;   ///< rows that a worker has taken
  int64_t finished = 0;  ///< rows that are written, or failed
  int64_t failed_row = 0;
  std::exception_ptr failure;  ///< of the failed row that comes first, so that every number of threads reports the same

  int64_t rows() const { return batch.images.size(0); }
};

/// One row of one slot, for one worker to fill.
struct Task {
  Slot* slot;
  int64_t row;
};

/// A window of slots that moves over the epoch: the consumer takes from its front and opens new ones at its back,
/// workers take rows in order. Slots keep their address while they are open.
class Epoch {
 public:
  using MakeBatch = std::function<Batch(int64_t batch_index)>;

  /// Batches first ... end - 1 of `batch_size` samples (the last one may be shorter), `prefetch` of them open at once.
  Epoch(int64_t first, int64_t end, int64_t batch_size, int64_t prefetch, MakeBatch make_batch);

  /// For a worker: waits for a row to fill; nothing once the epoch has been stopped or all rows are claimed.
  std::optional<Task> claim();
  /// For a worker: the row is written, or `failure` says why not.
  void finish(const Task& task, std::exception_ptr failure);

  /// For the consumer: waits for the front batch; nothing after the last. Rethrows a failure, and stops.
  std::optional<Batch> take();
  /// No row is given out from now on; rows already claimed may still be finished.
  void stop();

 private:
  void open_slots();

  const int64_t end_, batch_size_, prefetch_;
  const MakeBatch make_batch_;
  int64_t next_to_open_;
  bool stopped_ = false;
  std::mutex mutex_;
  std::condition_variable work_, ready_;
  std::deque<Slot> slots_;
};

}  // namespace codmoe::data
