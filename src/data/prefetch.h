// Worker threads that fill the rows of batches ahead of one consumer.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace codmoe::data {

/// A window of batches that moves over an epoch: workers take the rows of its batches in order, the consumer waits for
/// batches at its front and releases them there, which admits new ones at its back. A batch that is released and the
/// one admitted then are `window` apart: the consumer keeps their contents in a ring of as many places.
class Prefetch {
 public:
  /// Fills a row; on several threads at once, for different rows.
  using Fill = std::function<void(int64_t batch, int64_t row)>;

  Prefetch(int64_t threads, int64_t window, Fill fill);
  /// Rows that are being filled are finished first.
  ~Prefetch();
  Prefetch(const Prefetch&) = delete;
  Prefetch& operator=(const Prefetch&) = delete;

  /// Gives no more rows out, and waits for those that are being filled: after it no worker touches a batch.
  void stop();
  /// Begins at the first batch of `rows_of`, which has the number of rows of each batch from `first` on. After stop().
  void start(int64_t first, std::vector<int64_t> rows_of);

  /// Waits until a batch of the window is filled. Where rows failed, rethrows what the first of them threw, so that
  /// every number of threads reports the same; nothing more is filled then.
  void wait(int64_t batch);
  /// Whether wait() would return at once.
  bool is_ready(int64_t batch);
  /// Drops the batch at the window's front, which was waited for.
  void release();

 private:
  struct Slot {
    int64_t rows = 0;
    int64_t claimed = 0;   ///< rows that a worker has taken
    int64_t finished = 0;  ///< rows that are filled, or failed
    int64_t failed_row = 0;
    std::exception_ptr failure = nullptr;
  };
  struct Task {
    int64_t batch, row;
  };

  void work();
  void admit();
  bool claim(Task& task);
  void finish(const Task& task, std::exception_ptr failure);
  Slot& slot(int64_t batch) { return slots_.at(static_cast<std::size_t>(batch - front_)); }

  const std::size_t window_;
  const Fill fill_;
  std::mutex mutex_;
  std::condition_variable work_, done_;
  std::deque<int64_t> waiting_;  // rows of the batches behind the window
  std::deque<Slot> slots_;
  int64_t front_ = 0;    // the first slot's batch
  int64_t filling_ = 0;  // rows
  bool stopped_ = true, quit_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace codmoe::data
