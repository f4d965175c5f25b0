// Whether somebody listens at an address.
#pragma once

#include <chrono>

#include "codmoe/dist/place.h"

namespace codmoe::dist {

/// Waits until the store's port takes connections, asking often: c10d's client, which may come before the server, waits
/// 5 s after a refusal. @return whether it does within `timeout`
bool wait_for_answer(const Place& place, std::chrono::seconds timeout);

}  // namespace codmoe::dist
