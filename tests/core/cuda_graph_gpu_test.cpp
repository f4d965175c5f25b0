#include "codmoe/core/cuda_graph.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "codmoe/core/device.h"
#include "support/cuda.h"

namespace codmoe::core {
namespace {

const c10::Device kGpu(c10::kCUDA, 0);
constexpr int64_t kBytes = int64_t{64} << 20;

int64_t reserved() { return device_memory(kGpu).reserved; }

TEST(GraphPoolGpu, GraphsShareMemoryThatIsGivenBackAfterThem) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  const SideStream stream(kGpu);
  const auto total = at::zeros({}, at::device(kGpu).dtype(at::kLong));
  const auto work = [&] { total.add_(at::ones({kBytes}, at::device(kGpu).dtype(at::kByte)).sum()); };
  work();  // libraries load their kernels
  synchronize(kGpu);
  release_memory(kGpu);
  const auto before = reserved();
  GraphPool pool(kGpu);
  auto first = pool.capture(work);
  const auto with_one = reserved();
  EXPECT_GE(with_one, before + kBytes);
  const auto second = pool.capture(work);
  EXPECT_EQ(reserved(), with_one);
  first.reset();
  auto third = pool.capture(work);  // beside one that came after the first
  EXPECT_EQ(reserved(), with_one);
  second->replay();
  third->replay();
  EXPECT_EQ(total.item<int64_t>(), 3 * kBytes);
  third.reset();
  release_memory(kGpu);
  EXPECT_EQ(reserved(), with_one);  // the second's still
}

TEST(GraphPoolGpu, ReleaseGivesBackWhatNoGraphUses) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  const SideStream stream(kGpu);
  const auto work = [] { at::ones({kBytes}, at::device(kGpu).dtype(at::kByte)).sum(); };
  work();
  synchronize(kGpu);
  release_memory(kGpu);
  const auto before = reserved();
  {
    GraphPool pool(kGpu);
    pool.capture(work)->replay();
    EXPECT_GE(reserved(), before + kBytes);  // without a graph too, until it is released
  }
  synchronize(kGpu);
  release_memory(kGpu);
  EXPECT_EQ(reserved(), before);
}

}  // namespace
}  // namespace codmoe::core
