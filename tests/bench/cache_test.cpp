#include "benchmarks/cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace codmoe::bench {
namespace {

constexpr std::size_t kLine = 64;  ///< bytes

/// Cache lines that name one another in one cycle of random order: a walk waits for each before it knows the next.
class LineCycle {
 public:
  explicit LineCycle(std::size_t lines) : next_(lines * kStep) {
    std::vector<std::size_t> order(lines);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::shuffle(order, std::mt19937(0));
    for (std::size_t i = 0; i < lines; ++i) next_[order[i] * kStep] = order[(i + 1) % lines] * kStep;
  }
  void walk() {
    for (std::size_t i = 0; i < next_.size(); i += kStep) place_ = next_[place_];
  }
  std::size_t place() const { return place_; }

 private:
  static constexpr std::size_t kStep = kLine / sizeof(std::size_t);
  std::vector<std::size_t> next_;
  std::size_t place_ = 0;
};

TEST(Cold, EvictsAfterEachPreparationAndBeforeEachCall) {
  std::string order;
  const Workload workload{
      .sets = 2, .prepare = [&](int64_t set) { order += std::to_string(set); }, .call = [&] { order += 'c'; }};
  const auto timing = time_workload(cold(workload, [&] { order += 'e'; }), c10::kCPU, {.warmup = 1, .runs = 4});
  EXPECT_EQ(order, "0ec1ec0ec1ec0ec1ec");  // warmup, then two rounds
  EXPECT_EQ(timing.runs, 4);
}

TEST(Cold, EvictionIsNotTimed) {
  using std::chrono::milliseconds;
  const Workload workload{.call = [] { std::this_thread::sleep_for(milliseconds(3)); }};
  const auto evict = [] { std::this_thread::sleep_for(milliseconds(30)); };
  const auto timing = time_workload(cold(workload, evict), c10::kCPU, {.warmup = 1, .runs = 6});
  EXPECT_GE(timing.latency_ms.min, 3.0);
  EXPECT_LT(timing.latency_ms.median, 30.0);
}

TEST(Eviction, LeavesNothingInACoresOwnCaches) {
  LineCycle lines(4096);  // 256 KiB
  const Workload warm{.call = [&] { lines.walk(); }};
  const TimingOptions options{.warmup = 2, .runs = 20, .seconds = 100};
  const double warm_ms = time_workload(warm, c10::kCPU, options).latency_ms.min;
  const double cold_ms = time_workload(cold(warm, eviction(c10::kCPU)), c10::kCPU, options).latency_ms.min;
  EXPECT_GT(cold_ms, 1.5 * warm_ms) << "at line " << lines.place();
}

}  // namespace
}  // namespace codmoe::bench
