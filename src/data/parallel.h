// A loop over independent items on all cores.
#pragma once

#include <cstdint>
#include <functional>

namespace codmoe::data {

/// Calls body(0) ... body(count - 1), each from the first thread that is free, then `progress` with the number done,
/// from one thread at a time. The first exception ends the loop and is rethrown.
void for_each_index(int64_t count, const std::function<void(int64_t)>& body,
                    const std::function<void(int64_t done)>& progress);

}  // namespace codmoe::data
