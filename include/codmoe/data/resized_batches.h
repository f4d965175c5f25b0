// A dataset that is decoded once and stays in batches.
#pragma once

#include <memory>
#include <vector>

#include "codmoe/data/batch_source.h"

namespace codmoe::data {

/// All samples in the dataset's order, resized to options.size (Interpolation::area) and otherwise unchanged, in
/// batches of options.batch_size on `device`; decoded by options.threads, with a progress line. The other options don't
/// count. A packed set may be reduced for batches of this size.
/// @throws core::Error naming a file that can't be read
std::vector<Batch> resized_batches(const std::shared_ptr<const Dataset>& dataset, const LoaderOptions& options,
                                   c10::Device device);

}  // namespace codmoe::data
