// Several ranks in one process, a thread each, which meet in memory.
#pragma once

#include <functional>

#include "codmoe/dist/group.h"

namespace codmoe::test {

/// Calls `body` on each rank at once. @throws what a rank threw, the lowest's; the others may then hang no longer than
/// Gloo waits, so bodies should not throw between collectives.
void run_ranks(int64_t ranks, const std::function<void(dist::Group&)>& body);

}  // namespace codmoe::test
