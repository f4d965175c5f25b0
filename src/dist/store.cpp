#include "codmoe/dist/store.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <c10/util/Exception.h>
#include <c10/util/Logging.h>
#include <mutex>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "codmoe/core/error.h"
#include "probe.h"

namespace codmoe::dist {

namespace {

constexpr auto* kSameVariables = "are all ranks started, with the same MASTER_ADDR and MASTER_PORT?";

/// c10d logs each lost connection with a backtrace, from every rank: what matters of it is in the errors here, and in
/// the line of a Watch. Who wants the rest sets TORCH_CPP_LOG_LEVEL, PyTorch's own variable.
void quieten_c10d() {
  constexpr int kFatal = 3;
  static std::once_flag done;  // c10d's threads may read it from then on
  std::call_once(done, [] {
    if (!environment_variable("TORCH_CPP_LOG_LEVEL")) FLAGS_caffe2_log_level = kFatal;
  });
}

c10::intrusive_ptr<c10d::Store> serve_or_reach(const Place& place, std::chrono::seconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = place.master_port;
  options.isServer = place.rank == 0 && !place.agent_store;
  options.timeout = timeout;
  try {
    if (options.isServer || wait_for_answer(place, timeout)) {
      return c10::make_intrusive<c10d::TCPStore>(place.master_host, options);
    }
  } catch (const c10::Error&) {  // what it says is for developers of c10d
  }
  if (options.isServer) {
    throw core::Error(
        fmt::format("rank 0: port {} can not be served on this machine; another run may have it: set another "
                    "MASTER_PORT for all ranks",
                    place.master_port));
  }
  throw core::Error(fmt::format("rank {}: no answer from {}:{} in {} s; {}", place.rank, place.master_host,
                                place.master_port, timeout.count(), kSameVariables));
}

std::string key_of(int64_t rank) { return fmt::format("present/{}", rank); }

std::vector<int64_t> absent_ranks(c10d::Store& store, int64_t ranks) {
  std::vector<int64_t> absent;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    if (!store.check({key_of(rank)})) absent.push_back(rank);
  }
  return absent;
}

void wait_for_all(c10d::Store& store, const Place& place, std::chrono::seconds timeout) {
  store.set(key_of(place.rank), std::string("1"));
  std::vector<std::string> keys;
  for (int64_t rank = 0; rank < place.ranks; ++rank) keys.push_back(key_of(rank));
  try {
    store.wait(keys, timeout);
  } catch (const c10::DistStoreError&) {  // its timeout
    throw core::Error(fmt::format("rank {}: rank {} did not come to {}:{} in {} s; {}", place.rank,
                                  fmt::join(absent_ranks(store, place.ranks), ", "), place.master_host,
                                  place.master_port, timeout.count(), kSameVariables));
  } catch (const std::exception&) {
    throw core::Error(fmt::format("rank {}: {}:{} was gone before all ranks had come", place.rank, place.master_host,
                                  place.master_port));
  }
}

}  // namespace

c10::intrusive_ptr<c10d::Store> connect(const Place& place, std::chrono::seconds timeout) {
  quieten_c10d();
  auto store =
      c10::make_intrusive<c10d::PrefixStore>(fmt::format("codmoe/{}", place.restart), serve_or_reach(place, timeout));
  wait_for_all(*store, place, timeout);
  return store;
}

}  // namespace codmoe::dist
