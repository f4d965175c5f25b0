#include "benchmarks/cache.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <gtest/gtest.h>

namespace codmoe::bench {
namespace {

const c10::Device kGpu(c10::kCUDA, 0);

TEST(EvictionGpu, MakesACallReadItsInputFromMemory) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  // A quarter of the L2, which may hold a line twice: once in each half.
  const auto x = at::ones({eviction_bytes(kGpu) / 8}, at::TensorOptions(kGpu).dtype(at::kByte)).view(at::kFloat);
  const Workload read{.call = [&] { x.sum(); }};
  const TimingOptions options{.warmup = 5, .runs = 50};
  const auto warm = time_workload(read, kGpu, options);
  const auto cooled = time_workload(cold(read, eviction(kGpu)), kGpu, options);
  EXPECT_TRUE(cooled.queued);
  EXPECT_GT(cooled.gpu_ms.value(), 1.1 * warm.gpu_ms.value());
  EXPECT_EQ(cooled.peak_bytes, warm.peak_bytes);  // what was written over the cache is not the call's
}

}  // namespace
}  // namespace codmoe::bench
