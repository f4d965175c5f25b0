// Batches of samples that are decoded on the host and changed on the GPU, beside those of samples that lie there.
#include <chrono>
#include <thread>

#include "batches.h"
#include "codmoe/core/cuda_graph.h"
#include "codmoe/core/device.h"
#include "support/cuda.h"
#include "test_files.h"

namespace codmoe::data {
namespace {

constexpr int64_t kImages = 23;
const c10::Device kDevice{c10::kCUDA, 0};

class StreamGpu : public FolderTest {
 protected:
  void SetUp() override {
    if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
    FolderTest::SetUp();
    for (int64_t i = 0; i < kImages - 1; ++i) write_pair(dir_, name_of(i), 40 + i, 60 - i, i);
    write_pair(dir_, name_of(kImages - 1), 150, 200, 9);  // is reduced
    options_ = {.batch_size = 4, .size = 48, .scales = {0.7, 1.0}, .threads = 4, .prefetch = 3};
    augment_.paste = augment_.erase = 0.5;
    augment_.salt_pepper = 0.01;
  }

  static std::string name_of(int64_t i) { return "image " + std::to_string(10 + i); }

  std::unique_ptr<BatchSource> make(Cache cache, OnError on_error = OnError::fail) const {
    const auto dataset = std::make_shared<Dataset>(DatasetOptions{dir_, {}});
    return make_batch_source(dataset, options_, augment_, cache, 5, kDevice, on_error);
  }

  std::vector<Batch> epoch(Cache cache, int64_t number, int64_t first = 0, OnError on_error = OnError::fail) const {
    const auto source = make(cache, on_error);
    source->start(number, first);
    return rest_of(*source);
  }

  LoaderOptions options_;
  AugmentOptions augment_;
};

TEST_F(StreamGpu, SamplesGiveTheSameBytesWhereverTheyAreKept) {
  for (const int64_t number : {0, 1}) {
    const auto resident = epoch(Cache::gpu, number);
    ASSERT_EQ(resident.size(), 6U);
    EXPECT_TRUE(resident[0].images.is_cuda());
    EXPECT_GT(resident[0].images.to(at::kFloat).std().item<double>(), 10);
    expect_same(epoch(Cache::none, number), resident);
    expect_same(epoch(Cache::ram, number), resident);
  }
}

TEST_F(StreamGpu, AnyThreadsWindowAndStartGiveTheSame) {
  const auto resident = epoch(Cache::gpu, 3);
  for (const auto& [threads, prefetch] : {std::pair<int64_t, int64_t>(1, 1), {2, 1}, {8, 2}, {8, 16}}) {
    options_.threads = threads;
    options_.prefetch = prefetch;
    for (int64_t first = 0; first <= 6; ++first) {
      expect_same(epoch(Cache::none, 3, first), {resident.begin() + first, resident.end()});
    }
  }
}

/// The consumer's stream is kept busy, so that copies and buffers run far ahead of it; were one written before it was
/// read, a batch would hold another one's pixels.
TEST_F(StreamGpu, ABusyConsumerGetsTheSameBytes) {
  const auto resident = epoch(Cache::gpu, 4);
  const auto a = at::rand({4096, 4096}, at::device(kDevice));
  for (const auto& [cache, prefetch] : {std::pair(Cache::none, int64_t{1}), {Cache::none, 3}, {Cache::ram, 2}}) {
    options_.prefetch = prefetch;
    const auto source = make(cache);
    for (int64_t round = 0; round < 5; ++round) {
      const core::SideStream stream(kDevice);
      std::vector<Batch> batches;
      source->start(4);
      for (;;) {
        for (int i = 0; i < 5; ++i) at::matmul(a, a);  // some 10 ms on a queue that the host doesn't wait for
        auto batch = source->next();
        if (!batch) break;
        batches.push_back(*batch);
      }
      expect_same(batches, resident);
    }
  }
}

TEST_F(StreamGpu, AnEpochCanBeAbandonedAtAnyMoment) {
  const auto resident = epoch(Cache::gpu, 2);
  const auto source = make(Cache::none);
  for (int64_t taken = 0; taken < 6; ++taken) {
    source->start(9);
    for (int64_t i = 0; i < taken; ++i) source->next();
    source->start(2);
    expect_same(rest_of(*source), resident);
    EXPECT_FALSE(source->next());
  }
  EXPECT_THROW(source->start(2, 7), c10::Error);
  for (int delay = 0; delay < 20; ++delay) {
    const auto other = make(Cache::none);
    EXPECT_FALSE(other->next());
    other->start(0);
    if (delay % 3 == 0) other->next();
    std::this_thread::sleep_for(std::chrono::microseconds(100 * delay));
  }
  core::synchronize(kDevice);
}

TEST_F(StreamGpu, AFaultReachesItsBatchAndNamesTheFile) {
  options_.shuffle = false;
  augment_.paste = 0;                                                // it is no donor of another batch
  write_bytes(dir_ / "Imgs" / (name_of(5) + ".png"), "no picture");  // in the second batch
  for (const int64_t threads : {1, 8}) {
    options_.threads = threads;
    const auto source = make(Cache::none);
    source->start(0);
    EXPECT_TRUE(source->next());
    EXPECT_NE(error_of([&] { source->next(); }).find(name_of(5)), std::string::npos);
    EXPECT_FALSE(source->next());
    source->start(0, 2);
    EXPECT_EQ(rest_of(*source).size(), 4U);
  }
}

TEST_F(StreamGpu, SkippedSamplesAreReplacedAlike) {
  for (const int64_t i : {3, 4, 11}) write_bytes(dir_ / "Imgs" / (name_of(i) + ".png"), "no picture");
  const auto resident = epoch(Cache::gpu, 0, 0, OnError::skip);
  int64_t replaced = 0;
  for (const auto& batch : resident) replaced += batch.replaced;
  EXPECT_EQ(replaced, 3);
  for (const auto cache : {Cache::none, Cache::ram}) {
    const auto streamed = epoch(cache, 0, 0, OnError::skip);
    expect_same(streamed, resident);
    for (std::size_t i = 0; i < streamed.size(); ++i) EXPECT_EQ(streamed[i].replaced, resident[i].replaced);
  }
}

}  // namespace
}  // namespace codmoe::data
