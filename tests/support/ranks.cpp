#include "support/ranks.h"

#include <ATen/Parallel.h>
#include <c10/util/env.h>

#include <exception>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>

namespace codmoe::test {

void run_ranks(int64_t ranks, const std::function<void(dist::Group&)>& body) {
  // c10d's flight recorder, one of the process, notes a group's first collective without a lock, and crashes where
  // several do so at once (https://github.com/pytorch/pytorch/pull/179313).
  c10::utils::set_env("TORCH_FR_BUFFER_SIZE", "0");
  const auto store = c10::make_intrusive<c10d::HashStore>();
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        at::set_num_threads(1);  // of this thread: the ranks are the parallelism
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
