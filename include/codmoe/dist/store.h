// Where the ranks of a run meet.
#pragma once

#include <c10/util/intrusive_ptr.h>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <chrono>

#include "codmoe/dist/place.h"

namespace codmoe::dist {

/// c10d's key-value store at the place's host and port, with all ranks present: rank 0 serves it, or the launcher. Its
/// keys are this start's own, whatever an elastic launcher's store keeps from before a restart. Where rank 0 serves,
/// the store ends with what this returns there. From then on c10d's own log is silent in this process, unless the
/// environment has TORCH_CPP_LOG_LEVEL.
/// @throws core::Error where the store does not answer, or a rank does not come, within `timeout`
c10::intrusive_ptr<c10d::Store> connect(const Place& place, std::chrono::seconds timeout);

}  // namespace codmoe::dist
