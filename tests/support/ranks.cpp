#include "support/ranks.h"

#include <cstdlib>
#include <exception>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>

namespace codmoe::test {

namespace {

/// LibTorch 2.11 keeps one record of collectives a process, to which groups are added without a lock
/// (FlightRecorderDetail.hpp): ranks that are threads would crash now and then.
void record_no_collectives() { setenv("TORCH_FR_BUFFER_SIZE", "0", /*overwrite=*/1); }

}  // namespace

void run_ranks(int64_t ranks, const std::function<void(dist::Group&)>& body) {
  record_no_collectives();
  const auto store = c10::make_intrusive<c10d::HashStore>();
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        dist::Group group(store, rank, ranks, c10::kCPU);
        body(group);
        group.barrier();  // nobody leaves while another still reads
      } catch (...) {
        failures[static_cast<std::size_t>(rank)] = std::current_exception();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace codmoe::test
