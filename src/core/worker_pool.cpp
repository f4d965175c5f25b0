#include "codmoe/core/worker_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "codmoe/core/error.h"

namespace codmoe::core {

WorkerPool::WorkerPool(int64_t threads) {
  if (threads == 0) threads = std::max<int64_t>(1, std::thread::hardware_concurrency());
  try {
    for (int64_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
  } catch (const std::system_error& failure) {
    stop();
    throw Error(fmt::format("{} threads can't be had: {}", threads, failure.code().message()));
  }
}

WorkerPool::~WorkerPool() { stop(); }

void WorkerPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    quit_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void WorkerPool::push(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  changed_.notify_one();
}

void WorkerPool::work() {
  for (;;) {
    std::function<void()> task;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return quit_ || !tasks_.empty(); });
      if (quit_) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace codmoe::core
