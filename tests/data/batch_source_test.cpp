#include "codmoe/data/batch_source.h"

#include "batches.h"
#include "codmoe/data/loader.h"
#include "codmoe/data/samples.h"
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
  write_pair(dir_, "large", 100, 130, 1);  // is reduced: to 25x26
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
  const auto kept_within = [&](int64_t budget) {
    Samples samples(dataset(), 64);
    const bool kept = samples.keep(budget, 2);
    EXPECT_EQ(samples.are_kept(), kept);
    return kept ? samples.bytes() : 0;
  };
  int64_t bytes = 0;
  for (int64_t i = 0; i < 7; ++i) bytes += 4 * (20 + 3 * i) * (40 - i);
  EXPECT_EQ(kept_within(int64_t{1} << 30), bytes);
  EXPECT_EQ(kept_within(bytes), bytes);
  EXPECT_EQ(kept_within(bytes - 1), 0);
}

TEST_F(BatchSourceTest, LargeSidesAreReducedByWholeFactors) {
  write_pair(dir_, "large", 100, 47, 1);
  const auto large = Samples(dataset(), 24).read(7).value();
  EXPECT_EQ(large.image.sizes(), (at::IntArrayRef{25, 47, 3}));  // 100 / 4; 47 is less than twice 24
  EXPECT_EQ(large.mask.sizes(), (at::IntArrayRef{25, 47}));
}

}  // namespace
}  // namespace codmoe::data
