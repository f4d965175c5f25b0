// What an epoch holds, as a function of the seed: the same for every source of batches.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "codmoe/data/batch_source.h"

namespace codmoe::data {

/// The samples of an epoch in order.
std::vector<int64_t> sample_order(int64_t size, bool shuffle, uint64_t seed, int64_t epoch);

/// How sample `index` is changed in an epoch.
Augmentation augmentation_of(const AugmentOptions& options, uint64_t seed, int64_t epoch, int64_t index);

/// The side of one batch, pixels: `size` times one of `scales`, each as probable, rounded to a multiple of 32 (a factor
/// of 1 leaves `size` as it is).
int64_t batch_side(const LoaderOptions& options, uint64_t seed, int64_t epoch, int64_t batch);

/// What a row of a batch is made of: the samples at these positions of the epoch, or where one of them is skipped the
/// next readable one behind it, see Samples::at().
struct RowPlan {
  Augmentation drawn;
  int64_t position;
  std::optional<int64_t> donor;  ///< lends the object that is pasted
};
RowPlan plan_row(const AugmentOptions& options, uint64_t seed, int64_t epoch, const std::vector<int64_t>& order,
                 int64_t position);

/// Samples that follow one another.
struct Span {
  int64_t first;  ///< position in the epoch
  int64_t count;
};
/// One batch, of all ranks.
Span whole_batch(int64_t samples, const LoaderOptions& options, int64_t batch);
/// What of it belongs to options.shard.
Span batch_span(int64_t samples, const LoaderOptions& options, int64_t batch);

/// The number of rows of each batch of an epoch from `first` on.
std::vector<int64_t> rows_from(int64_t first, int64_t batches, int64_t samples, const LoaderOptions& options);

/// @throws c10::Error for a first batch of an epoch that is not in 0 ... batches.
void check_first_batch(int64_t first_batch, int64_t batches);

/// How many rows of a batch, whose first is at `position` of the epoch, hold other samples than their place says.
int64_t replaced_in(const std::vector<std::string>& names, const Dataset& dataset, const std::vector<int64_t>& order,
                    int64_t position);

}  // namespace codmoe::data
