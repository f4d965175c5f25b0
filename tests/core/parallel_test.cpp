#include "codmoe/core/parallel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace codmoe::core {
namespace {

/// Long enough for the other threads to do something.
void rest() { std::this_thread::sleep_for(std::chrono::milliseconds(5)); }

/// What parallel_for() rethrows.
template <class Body>
std::string failure_of(int64_t count, int64_t threads, const Body& body) {
  try {
    parallel_for(count, threads, body);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "none";
}

TEST(ParallelFor, CallsEveryIndexOnce) {
  for (const int64_t threads : {0, 1, 3, 200}) {
    std::vector<std::atomic<int>> calls(100);
    parallel_for(100, threads, [&](int64_t i) { ++calls[static_cast<std::size_t>(i)]; });
    EXPECT_TRUE(std::ranges::all_of(calls, [](const auto& count) { return count == 1; })) << threads << " threads";
  }
  parallel_for(0, 2, [](int64_t) { FAIL() << "there is no item"; });
}

TEST(ParallelFor, ItemsRunAtTheSameTime) {
  std::latch all_here(3);  // a loop that is not parallel never passes it
  parallel_for(3, 3, [&](int64_t) { all_here.arrive_and_wait(); });
}

TEST(ParallelFor, OneThreadIsTheCallers) {
  const auto caller = std::this_thread::get_id();
  parallel_for(4, 1, [&](int64_t) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    rest();
  });
}

TEST(ParallelFor, ProgressCountsFromOneToAllAndIsNeverEnteredTwice) {
  std::vector<int64_t> seen;
  std::atomic<int> inside{0};
  parallel_for(
      12, 4, [](int64_t) {},
      [&](int64_t done) {
        EXPECT_EQ(++inside, 1);
        rest();
        seen.push_back(done);
        --inside;
      });
  std::vector<int64_t> expected(12);
  std::iota(expected.begin(), expected.end(), 1);
  EXPECT_EQ(seen, expected);
}

TEST(ParallelFor, RethrowsTheLowestIndexWhateverTheNumberOfThreads) {
  for (const int64_t threads : {1, 2, 8}) {
    for (int repeat = 0; repeat < 20; ++repeat) {
      EXPECT_EQ(failure_of(40, threads,
                           [](int64_t i) {
                             if (i % 10 == 7) throw std::runtime_error(std::to_string(i));
                           }),
                "7");
    }
  }
}

TEST(ParallelFor, ALowerIndexThatFailsLaterWins) {
  std::latch higher_failed(1);
  EXPECT_EQ(failure_of(2, 2,
                       [&](int64_t i) {
                         if (i == 0) higher_failed.wait();
                         if (i == 1) higher_failed.count_down();
                         throw std::runtime_error(std::to_string(i));
                       }),
            "0");
}

TEST(ParallelFor, AHigherIndexThatFailsLaterDoesNot) {
  std::latch higher_runs(1), lower_fails(1);
  EXPECT_EQ(failure_of(2, 2,
                       [&](int64_t i) {
                         if (i == 1) {
                           higher_runs.count_down();
                           lower_fails.wait();
                           rest();  // until the failure was taken note of
                         } else {
                           higher_runs.wait();
                           lower_fails.count_down();
                         }
                         throw std::runtime_error(std::to_string(i));
                       }),
            "0");
}

TEST(ParallelFor, NothingBeginsBehindAFailure) {
  int64_t calls = 0;
  EXPECT_EQ(failure_of(1000, 1,
                       [&](int64_t i) {
                         ++calls;
                         if (i == 3) throw std::runtime_error("3");
                       }),
            "3");
  EXPECT_EQ(calls, 4);
}

TEST(ParallelFor, AnExceptionOfProgressIsRethrownToo) {
  EXPECT_THROW(parallel_for(
                   3, 1, [](int64_t) {},
                   [](int64_t done) {
                     if (done == 2) throw std::runtime_error("no more");
                   }),
               std::runtime_error);
}

}  // namespace
}  // namespace codmoe::core
