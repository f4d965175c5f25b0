#include "codmoe/data/batch_source.h"

#include "batches.h"
#include "codmoe/data/loader.h"
#include "codmoe/data/sample_cache.h"
#include "test_files.h"

namespace codmoe::data {
namespace {

class BatchSourceTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    for (int64_t i = 0; i < 7; ++i) write_pair(dir_, "image " + std::to_string(i), 20 + 3 * i, 40 - i, i);
    options_ = {.batch_size = 3, .size = 24, .threads = 2, .prefetch = 2};
  }

  std::shared_ptr<const Dataset> dataset() const { return std::make_shared<Dataset>(DatasetOptions{dir_, {}}); }
  std::vector<Batch> epoch(Cache cache, int64_t first = 0) const {
    const auto source = make_batch_source(dataset(), options_, {}, cache, 5, c10::kCPU);
    source->start(2, first);
    return rest_of(*source);
  }

  LoaderOptions options_;
};

TEST_F(BatchSourceTest, KeptSamplesGiveTheSameBytes) {
  const auto read = epoch(Cache::none);
  ASSERT_EQ(read.size(), 3U);
  expect_same(epoch(Cache::ram), read);
  expect_same(epoch(Cache::automatic), read);
  expect_same(epoch(Cache::ram, 1), {read[1], read[2]});
}

TEST_F(BatchSourceTest, FilesAreNotReadAgain) {
  const auto source = make_batch_source(dataset(), options_, {}, Cache::ram, 5, c10::kCPU);
  std::filesystem::remove_all(dir_ / "Imgs");
  source->start(0);
  EXPECT_EQ(rest_of(*source).size(), 3U);
}

TEST_F(BatchSourceTest, AGpuCacheNeedsAGpu) { EXPECT_THROW(epoch(Cache::gpu), core::UsageError); }

TEST_F(BatchSourceTest, ADamagedFileIsNamedAtOnce) {
  write_bytes(dir_ / "Imgs" / "image 3.png", "no picture");
  EXPECT_NE(error_of([&] { make_batch_source(dataset(), options_, {}, Cache::ram, 5, c10::kCPU); }).find("image 3"),
            std::string::npos);
}

TEST_F(BatchSourceTest, StopsReadingOverTheBudget) {
  const auto set = dataset();
  const auto all = SampleCache::read(*set, 64, int64_t{1} << 30, 2);
  ASSERT_NE(all, nullptr);
  int64_t bytes = 0;
  for (int64_t i = 0; i < all->size(); ++i) bytes += all->sample(i).image.numel() + all->sample(i).mask.numel();
  EXPECT_EQ(all->bytes(), bytes);
  EXPECT_NE(SampleCache::read(*set, 64, bytes, 2), nullptr);
  EXPECT_EQ(SampleCache::read(*set, 64, bytes - 1, 2), nullptr);
}

TEST_F(BatchSourceTest, LargeSidesAreReducedByWholeFactors) {
  write_pair(dir_, "large", 100, 47, 1);
  const auto set = dataset();
  const auto cache = SampleCache::read(*set, 24, int64_t{1} << 30, 2);
  const auto& large = cache->sample(set->size() - 1);
  EXPECT_EQ(large.image.sizes(), (at::IntArrayRef{25, 47, 3}));  // 100 / 4; 47 is less than twice 24
  EXPECT_EQ(large.mask.sizes(), (at::IntArrayRef{25, 47}));
}

}  // namespace
}  // namespace codmoe::data
