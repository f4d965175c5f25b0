// A loop over independent items on several threads.
#pragma once

#include <cstdint>
#include <functional>

namespace codmoe::core {

/// Calls body(0) … body(count - 1) on `threads` threads (0: one a core), the calling one among them; after each item
/// `progress` with the number of items done, on one thread at a time. Where calls throw, no later item begins, and the
/// exception of the lowest index is rethrown, whatever the number of threads.
void parallel_for(int64_t count, int64_t threads, const std::function<void(int64_t index)>& body,
                  const std::function<void(int64_t done)>& progress = {});

}  // namespace codmoe::core
