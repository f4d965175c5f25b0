// Timing of whole passes over a set of images.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "benchmarks/record.h"

namespace codmoe::bench {

/// One pass over the set.
using SetPass = std::function<void()>;

/// Milliseconds of each pass, after one to warm up: no further begins after `seconds`, but there are three at least.
std::vector<double> time_passes(const SetPass& pass, double seconds);

/// Fills in the times and images_per_s of passes over `images` images; median_ms is what one batch of them takes.
/// @param record its `batch` is read
void add_passes(Record& record, const std::vector<double>& samples, int64_t images);

}  // namespace codmoe::bench
