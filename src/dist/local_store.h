// The store of ranks that are all on this machine.
#pragma once

#include <c10/util/intrusive_ptr.h>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

namespace codmoe::dist {

/// Serves a store on a free port that only this machine reaches; getPort() says which.
/// @throws core::Error where the system gives no port
c10::intrusive_ptr<c10d::TCPStore> serve_local_store();

}  // namespace codmoe::dist
