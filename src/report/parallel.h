// A loop over independent items on several threads.
#pragma once

#include <cstdint>
#include <functional>

namespace codmoe::report {

/// Calls body(0) … body(count - 1) on `threads` threads (0: one a core). Where calls throw, the exception of the lowest
/// index is rethrown, whatever the number of threads.
void parallel_for(int64_t count, int64_t threads, const std::function<void(int64_t)>& body);

}  // namespace codmoe::report
