#include "codmoe/core/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace codmoe::core {

void parallel_for(int64_t count, int64_t threads, const std::function<void(int64_t)>& body,
                  const std::function<void(int64_t)>& progress) {
  std::atomic<int64_t> next{0};
  std::atomic<int64_t> end{count};
  std::mutex mutex;
  int64_t done = 0;
  std::exception_ptr failure;
  const auto work = [&] {
    for (int64_t i = next++; i < end; i = next++) {
      try {
        body(i);
        const std::lock_guard lock(mutex);
        if (progress) progress(++done);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (i >= end) continue;
        end = i;  // items before it still run: one of them may fail too
        failure = std::current_exception();
      }
    }
  };
  if (threads == 0) threads = std::max<int64_t>(1, std::thread::hardware_concurrency());
  std::vector<std::jthread> pool;
  for (int64_t t = 1; t < std::min(threads, count); ++t) pool.emplace_back(work);
  work();
  pool.clear();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace codmoe::core
