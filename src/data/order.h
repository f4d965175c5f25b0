// What an epoch holds, as a function of the seed: the same for every source of batches.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "codmoe/data/batch_source.h"

namespace codmoe::data {

/// The samples of an epoch in order.
std::vector<int64_t> sample_order(int64_t size, bool shuffle, uint64_t seed, int64_t epoch);

/// How sample `index` is changed in an epoch.
Augmentation augmentation_of(const AugmentOptions& options, uint64_t seed, int64_t epoch, int64_t index);

/// @throws core::Error where `drop_last` leaves no batch.
int64_t batch_count(const Dataset& dataset, const LoaderOptions& options);

/// The samples of one batch.
struct Span {
  int64_t first;  ///< position in the epoch
  int64_t count;
};
Span batch_span(int64_t samples, const LoaderOptions& options, int64_t batch);

/// The number of rows of each batch of an epoch from `first` on.
std::vector<int64_t> rows_from(int64_t first, int64_t batches, int64_t samples, const LoaderOptions& options);

/// @throws c10::Error for a first batch of an epoch that is not in 0 ... batches.
void check_first_batch(int64_t first_batch, int64_t batches);

/// How many rows of a batch, whose first is at `position` of the epoch, hold other samples than their place says.
int64_t replaced_in(const std::vector<std::string>& names, const Dataset& dataset, const std::vector<int64_t>& order,
                    int64_t position);

}  // namespace codmoe::data
