// data.on_error: what stands where a sample can't be read.
#include <algorithm>

#include "batches.h"
#include "codmoe/data/samples.h"
#include "support/log_capture.h"
#include "test_files.h"

namespace codmoe::data {
namespace {

constexpr int64_t kImages = 11;

class SkippingTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    for (int64_t i = 0; i < kImages; ++i) write_pair(dir_, name_of(i), 30 + i, 40 - i, i);
    options_ = {.batch_size = 4, .size = 24, .threads = 2, .prefetch = 2};
  }

  static std::string name_of(int64_t i) { return "image " + std::to_string(10 + i); }
  void damage(const std::string& name) const { write_bytes(dir_ / "Imgs" / (name + ".png"), "no picture"); }

  std::unique_ptr<BatchSource> make(Cache cache, OnError on_error = OnError::skip) const {
    const auto dataset = std::make_shared<Dataset>(DatasetOptions{dir_, {}});
    return make_batch_source(dataset, options_, augment_, cache, 5, c10::kCPU, on_error);
  }
  std::vector<Batch> epoch(Cache cache, int64_t number = 0, int64_t first = 0) const {
    const auto source = make(cache);
    source->start(number, first);
    return rest_of(*source);
  }

  static std::vector<std::string> names_of(const std::vector<Batch>& batches) {
    std::vector<std::string> names;
    for (const Batch& batch : batches) names.insert(names.end(), batch.names.begin(), batch.names.end());
    return names;
  }
  static int64_t replaced_in_all(const std::vector<Batch>& batches) {
    int64_t replaced = 0;
    for (const Batch& batch : batches) replaced += batch.replaced;
    return replaced;
  }

  LoaderOptions options_;
  AugmentOptions augment_;
  test::LogCapture quiet_;
};

TEST_F(SkippingTest, TheNextReadableSampleTakesThePlace) {
  const auto whole = epoch(Cache::none);
  EXPECT_EQ(replaced_in_all(whole), 0);
  auto expected = names_of(whole);
  damage(expected[2]);
  damage(expected[3]);
  damage(expected[kImages - 1]);
  expected[kImages - 1] = expected[0];
  expected[2] = expected[3] = expected[4];
  const auto read = epoch(Cache::none);
  EXPECT_EQ(names_of(read), expected);
  EXPECT_EQ(read[0].replaced, 2);
  EXPECT_EQ(read[1].replaced, 0);
  EXPECT_EQ(read[2].replaced, 1);
  EXPECT_FALSE(at::equal(read[0].images[2], read[0].images[3]));  // each place has its own changes
  for (int64_t place = 4; place < 8; ++place)
    EXPECT_TRUE(at::equal(read[1].images[place - 4], whole[1].images[place - 4]));
}

TEST_F(SkippingTest, TheSameBytesForAnyThreadsPlaceAndStart) {
  for (const auto* name : {"image 11", "image 12", "image 17"}) damage(name);
  options_.threads = 1;
  const auto one = epoch(Cache::none, 3);
  for (const int64_t threads : {2, 8}) {
    options_.threads = threads;
    expect_same(epoch(Cache::none, 3), one);
    expect_same(epoch(Cache::ram, 3), one);
    for (int64_t first = 1; first < 3; ++first) {
      expect_same(epoch(Cache::none, 3, first), {one.begin() + first, one.end()});
    }
  }
}

/// As if the next one in the epoch's order were stored in its place.
TEST_F(SkippingTest, TheNextReadableSampleIsTheDonorToo) {
  augment_.paste = 1;
  const auto order = names_of(epoch(Cache::none));
  for (const std::size_t place : {2, 3, 7}) damage(order[place]);
  const auto skipped = epoch(Cache::none), kept = epoch(Cache::ram);
  for (const auto& [place, next] : {std::pair<std::size_t, std::size_t>(2, 4), {3, 4}, {7, 8}}) {
    for (const auto* folder : {"Imgs", "GT"}) {
      std::filesystem::copy_file(dir_ / folder / (order[next] + ".png"), dir_ / folder / (order[place] + ".png"),
                                 std::filesystem::copy_options::overwrite_existing);
    }
  }
  const auto expected = epoch(Cache::none);
  EXPECT_EQ(names_of(expected), order);
  expect_same(kept, skipped);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_TRUE(at::equal(skipped[i].images, expected[i].images)) << i;
    EXPECT_TRUE(at::equal(skipped[i].masks, expected[i].masks)) << i;
  }
}

TEST_F(SkippingTest, EachFileIsNamedOnce) {
  damage(name_of(3));
  std::filesystem::remove(dir_ / "GT" / (name_of(5) + ".png"));
  write_pair(dir_, name_of(5), 30, 30);
  write_png(dir_ / "GT" / (name_of(5) + ".png"), test_mask(20, 30));  // of another size than its photograph
  for (const auto cache : {Cache::none, Cache::ram}) {
    const test::LogCapture log;
    const auto source = make(cache);
    for (int64_t epoch = 0; epoch < 3; ++epoch) {
      source->start(epoch);
      EXPECT_EQ(replaced_in_all(rest_of(*source)), 2);
    }
    EXPECT_EQ(log.count("takes its place"), 2);
    EXPECT_EQ(log.count(name_of(3)), 1);
    EXPECT_EQ(log.count("is 30x30, its mask"), 1);
  }
}

TEST_F(SkippingTest, NothingIsSkippedUnlessAskedFor) {
  damage(name_of(3));
  EXPECT_NE(error_of([&] { make(Cache::ram, OnError::fail); }).find(name_of(3)), std::string::npos);
  const auto source = make(Cache::none, OnError::fail);
  source->start(0);
  EXPECT_NE(error_of([&] { rest_of(*source); }).find(name_of(3)), std::string::npos);
}

TEST_F(SkippingTest, ASetWithoutAReadableSampleIsRefused) {
  for (int64_t i = 0; i < kImages; ++i) damage(name_of(i));
  const test::LogCapture log;
  EXPECT_NE(error_of([&] { make(Cache::ram); }).find("none of its 11 samples"), std::string::npos);
  const auto source = make(Cache::none);
  source->start(0);
  EXPECT_NE(error_of([&] { source->next(); }).find("none of its 11 samples"), std::string::npos);
}

}  // namespace
}  // namespace codmoe::data
