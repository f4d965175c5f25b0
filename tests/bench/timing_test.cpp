#include "benchmarks/timing.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace codmoe::bench {
namespace {

TEST(Summarize, OddCountNeedsNoInterpolation) {
  const auto spread = summarize({5, 1, 4, 2, 3});
  EXPECT_DOUBLE_EQ(spread.median, 3);
  EXPECT_DOUBLE_EQ(spread.p95, 4.8);  // numpy.percentile([1, 2, 3, 4, 5], 95)
  EXPECT_DOUBLE_EQ(spread.min, 1);
}

TEST(Summarize, EvenCountTakesTheMiddle) {
  const auto spread = summarize({10, 2, 8, 4});
  EXPECT_DOUBLE_EQ(spread.median, 6);
  EXPECT_DOUBLE_EQ(spread.p95, 9.7);  // numpy.percentile([2, 4, 8, 10], 95)
  EXPECT_DOUBLE_EQ(spread.min, 2);
}

TEST(Summarize, OneSampleIsAllThree) {
  const auto spread = summarize({7});
  EXPECT_DOUBLE_EQ(spread.median, 7);
  EXPECT_DOUBLE_EQ(spread.p95, 7);
  EXPECT_DOUBLE_EQ(spread.min, 7);
}

TEST(TimeWorkload, SetsTakeTurnsAndRunsAreWholeRounds) {
  std::vector<int64_t> prepared;
  int64_t calls = 0;
  const Workload workload{
      .sets = 3, .prepare = [&](int64_t set) { prepared.push_back(set); }, .call = [&] { ++calls; }};
  const auto timing = time_workload(workload, c10::kCPU, {.warmup = 1, .runs = 4});
  EXPECT_EQ(prepared, (std::vector<int64_t>{0, 1, 2, 0, 1, 2, 0, 1, 2}));  // warmup, then 4 runs rounded up to 6
  EXPECT_EQ(calls, 9);
  EXPECT_EQ(timing.runs, 6);
}

TEST(TimeWorkloads, TakeTurnsAndHaveTheirOwnSamples) {
  std::string order;
  const auto sleep = [&](char name, int ms) {
    order += name;
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
  };
  const auto timings = time_workloads({{.call = [&] { sleep('a', 1); }}, {.call = [&] { sleep('b', 9); }}}, c10::kCPU,
                                      {.warmup = 1, .runs = 3});
  EXPECT_EQ(order, "abababab");  // warmup, then three rounds
  ASSERT_EQ(timings.size(), 2U);
  EXPECT_EQ(timings[0].runs, 3);
  EXPECT_EQ(timings[1].runs, 3);
  EXPECT_GE(timings[1].latency_ms.min, 9.0);
  EXPECT_LT(timings[0].latency_ms.min, 9.0);
}

TEST(TimeWorkload, MeasuresTheCallAndNotItsPreparation) {
  using std::chrono::milliseconds;
  const Workload workload{.sets = 2,
                          .prepare = [](int64_t) { std::this_thread::sleep_for(milliseconds(30)); },
                          .call = [] { std::this_thread::sleep_for(milliseconds(3)); }};
  const auto timing = time_workload(workload, c10::kCPU, {.warmup = 1, .runs = 6});
  EXPECT_GE(timing.latency_ms.min, 3.0);
  EXPECT_LT(timing.latency_ms.median, 30.0);
  EXPECT_FALSE(timing.gpu_ms.has_value());
  EXPECT_FALSE(timing.peak_bytes.has_value());
}

TEST(TimeWorkload, TheTimeLimitStopsAfterAWholeRound) {
  const Workload workload{.sets = 4, .call = [] { std::this_thread::sleep_for(std::chrono::milliseconds(2)); }};
  EXPECT_EQ(time_workload(workload, c10::kCPU, {.warmup = 1, .runs = 400, .seconds = 1e-3}).runs, 4);
}

}  // namespace
}  // namespace codmoe::bench
