#include "codmoe/core/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>

namespace codmoe::core {
namespace {

TEST(WorkerPool, FuturesHaveWhatTheTasksReturnOrThrow) {
  WorkerPool pool(3);
  EXPECT_EQ(pool.size(), 3);
  std::vector<std::future<int>> squares;
  for (int i = 0; i < 100; ++i) squares.push_back(pool.submit([i] { return i * i; }));
  auto failing = pool.submit([]() -> int { throw std::runtime_error("no"); });
  for (int i = 0; i < 100; ++i) EXPECT_EQ(squares[static_cast<std::size_t>(i)].get(), i * i);
  EXPECT_THROW(failing.get(), std::runtime_error);
  EXPECT_EQ(pool.submit([] { return 7; }).get(), 7);  // a failure ends no thread
}

TEST(WorkerPool, TasksRunAtOnce) {
  WorkerPool pool(2);
  std::promise<void> first, second;  // each task waits for the other
  auto a = pool.submit([&] {
    first.set_value();
    second.get_future().wait();
  });
  auto b = pool.submit([&] {
    second.set_value();
    first.get_future().wait();
  });
  a.get();
  b.get();
}

TEST(WorkerPool, TheEndWaitsForWhatRuns) {
  std::atomic<bool> done{false};
  std::promise<void> begun;
  {
    WorkerPool pool(1);
    pool.submit([&] {
      begun.set_value();
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
      done = true;
    });
    begun.get_future().wait();
  }
  EXPECT_TRUE(done);
}

TEST(WorkerPool, ZeroMeansOneACore) { EXPECT_GE(WorkerPool(0).size(), 1); }

}  // namespace
}  // namespace codmoe::core
