// The decoded samples of a dataset, read as they are asked for, or kept.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "codmoe/core/error.h"
#include "codmoe/core/options.h"
#include "codmoe/data/augment.h"
#include "codmoe/data/dataset.h"

namespace codmoe::data {

/// What a sample that can't be read does to a run.
enum class OnError {
  fail,  ///< it ends it
  skip   ///< the next readable sample takes its place; a warning names it once, and every epoch's count is reported
};
constexpr auto enum_names(OnError) { return core::names<OnError>({{"fail", OnError::fail}, {"skip", OnError::skip}}); }

/// Reads photograph and mask of one item. @throws core::Error naming the file that is missing, unreadable or of another
///   size than its partner.
Sample read_sample(const Item& item, const NewImage& memory = {});

/// A side that is at least twice `size` pixels is reduced by a whole factor, so that one between `size` and twice that
/// remains; with size 0 none is.
Sample reduce(const Sample& sample, int64_t size);

/// The samples of a dataset, read and reduced; safe to be asked by several threads.
class Samples {
 public:
  /// @param size  of the batches that they are for, see reduce()
  Samples(std::shared_ptr<const Dataset> dataset, int64_t size, OnError on_error = OnError::fail);

  /// Reads all on `threads` threads (0: one a core), with a progress line, and keeps them. False where they would take
  /// more than `budget` bytes: reading stops then, and nothing is kept. @throws core::Error naming a file that can't be
  /// read, unless it is skipped, or where none can be.
  bool keep(int64_t budget, int64_t threads);
  bool are_kept() const { return !kept_.empty(); }
  /// Whether reduce() made one of those read so far smaller.
  bool any_reduced() const { return any_reduced_; }
  /// What the kept ones take.
  int64_t bytes() const { return bytes_; }

  /// One sample, which lies in `memory` only where it is decoded now and not reduced; nothing where it can't be read
  /// and is skipped, which a warning says once.
  /// @throws core::Error naming a file that can't be read, unless it is skipped.
  std::optional<Sample> read(int64_t index, const NewImage& memory = {}) const;

  struct Found {
    Sample sample;
    int64_t index;
  };
  /// The sample at `position` of an order of all indices; where it is skipped, the next readable one behind it, the
  /// first following the last: a function of the order and of the files alone. @throws core::Error as read(), and where
  /// none is readable.
  Found at(const std::vector<int64_t>& order, int64_t position, const NewImage& memory = {}) const;

  const Dataset& dataset() const { return *dataset_; }
  int64_t size() const { return dataset_->size(); }

 private:
  bool is_skipped(int64_t index) const;
  void skip(int64_t index, const core::Error& error) const;
  [[noreturn]] void refuse_all() const;

  const std::shared_ptr<const Dataset> dataset_;
  const int64_t batch_side_;
  const OnError on_error_;
  std::vector<Sample> kept_;  // those that are skipped have no tensors
  int64_t bytes_ = 0;
  mutable std::atomic<bool> any_reduced_ = false;
  mutable std::mutex mutex_;
  mutable std::set<int64_t> skipped_;
};

}  // namespace codmoe::data
