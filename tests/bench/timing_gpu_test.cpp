#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <gtest/gtest.h>

#include "benchmarks/delay.h"
#include "benchmarks/timing.h"

namespace codmoe::bench {
namespace {

const c10::Device kGpu(c10::kCUDA, 0);

TEST(TimeWorkloadGpu, SeesTheTimeOfAQueuedKernel) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  const auto timing = time_workload({.call = [] { delay(kGpu, 5.0); }}, kGpu, {.warmup = 2, .runs = 5});
  ASSERT_TRUE(timing.gpu_ms.has_value());
  EXPECT_TRUE(timing.queued);
  EXPECT_GT(*timing.gpu_ms, 4.0);
  EXPECT_LT(*timing.gpu_ms, 50.0);  // clocks may be far below their maximum
  EXPECT_GE(timing.latency_ms.median, 4.0);
}

TEST(TimeWorkloadGpu, NoticesACallThatWaitsForTheGpu) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  const auto x = at::ones({4}, kGpu);
  const auto timing = time_workload({.call = [&] { x.sum().item<float>(); }}, kGpu, {.warmup = 2, .runs = 5});
  EXPECT_FALSE(timing.queued);
}

TEST(TimeWorkloadGpu, ReportsPeakMemoryOfTheCall) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  constexpr int64_t bytes = int64_t{1} << 26;
  const auto call = [] { at::empty({bytes}, at::TensorOptions(kGpu).dtype(at::kByte)); };
  const auto timing = time_workload({.call = call}, kGpu, {.warmup = 1, .runs = 3});
  ASSERT_TRUE(timing.peak_bytes.has_value());
  EXPECT_GE(*timing.peak_bytes, bytes);
  EXPECT_LT(*timing.peak_bytes, 2 * bytes);
}

}  // namespace
}  // namespace codmoe::bench
