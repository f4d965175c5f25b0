// What an epoch holds, as a function of the seed: the same for every source of batches.
#pragma once

#include <cstdint>
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

/// The largest side that a batch can have.
int64_t largest_side(const LoaderOptions& options);

/// @throws core::Error where `drop_last` leaves no batch.
int64_t batch_count(const Dataset& dataset, const LoaderOptions& options);

/// The samples of one batch.
struct Span {
  int64_t first;  ///< position in the epoch
  int64_t count;
};
Span batch_span(int64_t samples, const LoaderOptions& options, int64_t batch);

}  // namespace codmoe::data
