#include "codmoe/core/cuda_graph.h"

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "codmoe/core/device.h"
#include "support/cuda.h"

namespace codmoe::core {
namespace {

const c10::Device kGpu(c10::kCUDA, 0);
constexpr int64_t kBytes = int64_t{64} << 20;

int64_t reserved() { return device_memory(kGpu).reserved; }

cudaStream_t current() { return at::cuda::getCurrentCUDAStream().stream(); }

/// cuMemsetD16Async or cuMemsetD32Async, which the runtime has no call for.
template <class Word>
void fill_words(at::Tensor& words, Word value) {
  using Fill = int(unsigned long long to, Word value, std::size_t count, cudaStream_t stream);
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found{};
  C10_CUDA_CHECK(cudaGetDriverEntryPointByVersion(sizeof(Word) == 2 ? "cuMemsetD16Async" : "cuMemsetD32Async", &entry,
                                                  12000, cudaEnableDefault, &found));
  ASSERT_EQ(found, cudaDriverEntryPointSuccess);
  ASSERT_EQ(reinterpret_cast<Fill*>(entry)(reinterpret_cast<std::uintptr_t>(words.mutable_data_ptr()), value,
                                           static_cast<std::size_t>(words.numel()), current()),
            0);
}

TEST(CudaGraphGpu, FillsKeepTheirPlaceBetweenKernels) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  const SideStream stream(kGpu);
  // Bytes, and where they begin: whole words of 16 bytes and not.
  const std::vector<std::pair<int64_t, int64_t>> spans{{1, 0}, {15, 1}, {16, 0}, {4099, 0}, {kBytes - 3, 3}};
  const auto x = at::zeros({kBytes}, at::device(kGpu).dtype(at::kByte));
  const auto sums = at::zeros({static_cast<int64_t>(spans.size())}, at::device(kGpu).dtype(at::kLong));
  const auto work = [&] {
    for (std::size_t i = 0; i < spans.size(); ++i) {
      const auto [bytes, begin] = spans[i];
      x.fill_(1);
      C10_CUDA_CHECK(
          cudaMemsetAsync(x.mutable_data_ptr<uint8_t>() + begin, 3, static_cast<std::size_t>(bytes), current()));
      sums[static_cast<int64_t>(i)].add_(x.sum());
    }
  };
  work();
  CudaGraph graph(kGpu, work);
  for (int i = 0; i < 4; ++i) graph.replay();
  for (std::size_t i = 0; i < spans.size(); ++i) {
    EXPECT_EQ(sums[static_cast<int64_t>(i)].item<int64_t>(), 5 * (kBytes + 2 * spans[i].first)) << spans[i].first;
  }
}

TEST(CudaGraphGpu, FillsOfEveryKindGiveWhatTheyGiveOutside) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  const SideStream stream(kGpu);
  auto halves = at::zeros({37}, at::device(kGpu).dtype(at::kShort)),
       words = at::zeros({41}, halves.options().dtype(at::kInt));
  const auto square = at::zeros({10, 64}, halves.options().dtype(at::kByte));
  CudaGraph graph(kGpu, [&] {
    fill_words<unsigned short>(halves, 0x1234);
    fill_words<unsigned>(words, 0x12345678U);
    C10_CUDA_CHECK(cudaMemset2DAsync(square.mutable_data_ptr(), 64, 7, 32, 10, current()));
  });
  EXPECT_EQ(words.sum().item<int64_t>(), 0);  // nothing has run yet
  graph.replay();
  EXPECT_TRUE(halves.eq(0x1234).all().item<bool>());
  EXPECT_TRUE(words.eq(0x12345678).all().item<bool>());
  EXPECT_TRUE(square.slice(1, 0, 32).eq(7).all().item<bool>());
  EXPECT_TRUE(square.slice(1, 32).eq(0).all().item<bool>());
}

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
