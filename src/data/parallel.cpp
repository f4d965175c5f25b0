#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace codmoe::data {

void for_each_index(int64_t count, const std::function<void(int64_t)>& body,
                    const std::function<void(int64_t done)>& progress) {
  std::atomic<int64_t> next{0};
  std::mutex mutex;
  int64_t done = 0;
  std::exception_ptr failure;
  const auto work = [&] {
    try {
      for (int64_t index; (index = next++) < count;) {
        body(index);
        const std::lock_guard lock(mutex);
        if (progress) progress(++done);
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      next = count;
    }
  };
  std::vector<std::thread> threads;
  const int64_t cores = std::max<int64_t>(1, std::thread::hardware_concurrency());
  for (int64_t i = 0; i < std::min(cores, count); ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace codmoe::data
