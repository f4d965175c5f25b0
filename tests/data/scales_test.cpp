// Batches of several sizes, with every change of a sample there is.
#include <map>

#include "batches.h"
#include "codmoe/core/options_json.h"
#include "codmoe/data/loader.h"
#include "test_files.h"

namespace codmoe::data {
namespace {

class ScalesTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    for (int64_t i = 0; i < 23; ++i) write_pair(dir_, std::to_string(i), 70 + i, 90 - i, i);
    options_ = {.batch_size = 2, .size = 64, .scales = {0.5, 1.0, 1.3}, .threads = 2, .prefetch = 2};
    augment_.paste = augment_.erase = 0.5;
    augment_.salt_pepper = 0.01;
  }

  std::vector<Batch> epoch(int64_t number, int64_t first = 0, Cache cache = Cache::none) const {
    const auto source =
        make_batch_source(std::make_shared<Dataset>(DatasetOptions{dir_, {}}), options_, augment_, cache, 5, c10::kCPU);
    source->start(number, first);
    return rest_of(*source);
  }

  static std::map<int64_t, int> count_sides(const std::vector<Batch>& batches) {
    std::map<int64_t, int> sides;
    for (const Batch& batch : batches) ++sides[batch.images.size(3)];
    return sides;
  }

  LoaderOptions options_;
  AugmentOptions augment_;
};

TEST_F(ScalesTest, AnyNumberOfThreadsGivesTheSameBytes) {
  options_.threads = 1;
  const auto one = epoch(3);
  ASSERT_EQ(one.size(), 12U);
  EXPECT_EQ(count_sides(one).size(), 3U);
  for (const int64_t threads : {2, 8}) {
    options_.threads = threads;
    expect_same(epoch(3), one);
  }
  expect_same(epoch(3, 0, Cache::ram), one);
}

TEST_F(ScalesTest, ResumesInTheMiddleOfAnEpoch) {
  const auto whole = epoch(7);
  for (const int64_t first : {1, 5, 12}) expect_same(epoch(7, first), {whole.begin() + first, whole.end()});
}

TEST_F(ScalesTest, SidesAreMultiplesOf32AsOftenAsEachOther) {
  options_.size = 63;
  std::map<int64_t, int> sides;
  for (int64_t number = 0; number < 25; ++number) {
    for (const auto& [side, times] : count_sides(epoch(number))) sides[side] += times;
  }
  ASSERT_EQ(sides.size(), 3U);
  for (const int64_t side : {32, 63, 96}) EXPECT_NEAR(sides[side], 100, 5 * 9) << side;  // 63: a factor of 1 keeps it
}

TEST_F(ScalesTest, AListOfScalesMustNotBeEmpty) {
  EXPECT_THROW(core::read_options(core::Json::parse(R"({"scales": []})"), {}, options_), core::UsageError);
  EXPECT_THROW(core::read_options(core::Json::parse(R"({"scales": [0]})"), {}, options_), core::UsageError);
}

}  // namespace
}  // namespace codmoe::data
