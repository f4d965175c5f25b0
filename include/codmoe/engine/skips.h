// A run whose steps lead nowhere ends.
#pragma once

#include <vector>

#include "codmoe/data/batch_source.h"
#include "codmoe/engine/optimizer.h"

namespace codmoe::engine {

/// Waits for the device, so not for every step: once in `max_skips` steps is enough to see that many in a row.
/// @throws core::Error naming the images of `latest`, the batches of the last step, where the optimizer has left out at
///   least `max_skips` steps in a row, that one among them.
void stop_after_skips(const Optimizer& optimizer, const std::vector<data::Batch>& latest, int64_t max_skips);

}  // namespace codmoe::engine
