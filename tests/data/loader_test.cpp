#include "codmoe/data/loader.h"

#include <chrono>
#include <thread>

#include "batches.h"
#include "test_files.h"

namespace codmoe::data {
namespace {

constexpr int64_t kImages = 23;

class LoaderTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    for (int64_t i = 0; i < kImages; ++i) write_pair(dir_, "käfer " + std::to_string(i), 40 + i, 60 - i, i);
    options_.batch_size = 4;
    options_.size = 24;
    options_.threads = 2;
    options_.prefetch = 2;
  }

  std::unique_ptr<Loader> make(const AugmentOptions& augment = {}, uint64_t seed = 5) const {
    const auto dataset = std::make_shared<Dataset>(DatasetOptions{dir_, {}});
    return std::make_unique<Loader>(std::make_shared<Samples>(dataset, options_.size), options_, augment, seed);
  }

  std::vector<Batch> epoch(int64_t number, int64_t first = 0, uint64_t seed = 5) const {
    const auto loader = make({}, seed);
    loader->start(number, first);
    return rest_of(*loader);
  }

  static std::vector<std::string> names_of(const std::vector<Batch>& batches) {
    std::vector<std::string> names;
    for (const Batch& batch : batches) names.insert(names.end(), batch.names.begin(), batch.names.end());
    return names;
  }

  LoaderOptions options_;
};

TEST_F(LoaderTest, AnyNumberOfThreadsGivesTheSameBytes) {
  options_.threads = 1;
  const auto one = epoch(3);
  ASSERT_EQ(one.size(), 6U);
  EXPECT_EQ(one[0].images.sizes(), (at::IntArrayRef{4, 3, 24, 24}));
  EXPECT_EQ(one[0].masks.sizes(), (at::IntArrayRef{4, 1, 24, 24}));
  EXPECT_EQ(one[5].images.size(0), 3);
  for (const auto& [threads, prefetch] : {std::pair<int64_t, int64_t>(2, 1), {8, 1}, {8, 5}, {0, 16}}) {
    options_.threads = threads;
    options_.prefetch = prefetch;
    expect_same(epoch(3), one);
  }
}

TEST_F(LoaderTest, ResumesInTheMiddleOfAnEpoch) {
  const auto whole = epoch(7);
  for (int64_t first = 0; first <= 6; ++first) expect_same(epoch(7, first), {whole.begin() + first, whole.end()});
}

TEST_F(LoaderTest, EpochsAndSeedsHaveTheirOwnOrderAndHoldEverything) {
  auto first = names_of(epoch(0)), second = names_of(epoch(1)), other = names_of(epoch(0, 0, 6));
  EXPECT_NE(first, second);
  EXPECT_NE(first, other);
  for (auto* names : {&first, &second, &other}) std::sort(names->begin(), names->end());
  EXPECT_EQ(std::unique(first.begin(), first.end()) - first.begin(), kImages);
  EXPECT_EQ(first, second);
  EXPECT_EQ(first, other);
}

TEST_F(LoaderTest, ASampleIsAugmentedAnewEveryEpoch) {
  options_.shuffle = false;
  const auto a = epoch(0), b = epoch(1);
  EXPECT_EQ(names_of(a), names_of(b));
  EXPECT_FALSE(at::equal(a[0].images, b[0].images));
}

TEST_F(LoaderTest, RowsHoldTheFilesOfTheirNames) {
  AugmentOptions off;
  off.enabled = false;
  options_.size = 32;  // no side is twice as large
  const auto loader = make(off);
  loader->start(0);
  for (const Batch& batch : rest_of(*loader)) {
    for (int64_t row = 0; row < batch.images.size(0); ++row) {
      const std::string file = batch.names[static_cast<std::size_t>(row)] + ".png";
      const auto image = resize(read_image(dir_ / "Imgs" / file), 32, 32, Interpolation::area);
      const auto mask = resize(read_mask(dir_ / "GT" / file), 32, 32, Interpolation::area);
      EXPECT_TRUE(at::equal(batch.images[row], image.permute({2, 0, 1}))) << file;
      EXPECT_TRUE(at::equal(batch.masks[row][0], mask)) << file;
    }
  }
}

TEST_F(LoaderTest, DropLastLeavesOutThePartialBatch) {
  options_.drop_last = true;
  EXPECT_EQ(make()->batches_per_epoch(), 5);
  EXPECT_EQ(epoch(0).size(), 5U);
  options_.batch_size = 24;
  const std::string error = error_of([&] { make(); });
  EXPECT_TRUE(error.find("23 images") != std::string::npos) << error;
}

TEST_F(LoaderTest, NothingBeforeTheStartAndAfterTheEnd) {
  const auto loader = make();
  EXPECT_FALSE(loader->next());
  loader->start(0, 6);
  EXPECT_FALSE(loader->next());
  EXPECT_FALSE(loader->next());
  EXPECT_THROW(loader->start(0, 7), c10::Error);
}

TEST_F(LoaderTest, AnEpochCanBeAbandoned) {
  const auto wanted = epoch(2);
  const auto loader = make();
  for (int64_t taken = 0; taken < 4; ++taken) {
    loader->start(9);
    for (int64_t i = 0; i < taken; ++i) loader->next();
    loader->start(2);
    expect_same(rest_of(*loader), wanted);
  }
}

TEST_F(LoaderTest, DestructionAtAnyMomentEnds) {
  options_.threads = 8;
  for (int delay = 0; delay < 30; ++delay) {
    const auto loader = make();
    loader->start(0);
    if (delay % 3 == 0) loader->next();
    std::this_thread::sleep_for(std::chrono::microseconds(100 * delay));
  }
}

TEST_F(LoaderTest, AFaultReachesItsBatchAndNamesTheFile) {
  options_.shuffle = false;  // the order of names: "käfer 0", "käfer 1", "käfer 10" ...
  const auto expect = [&](const std::string& part) {
    for (const int64_t threads : {1, 8}) {
      options_.threads = threads;
      const auto loader = make();
      loader->start(0);
      EXPECT_TRUE(loader->next());
      const std::string error = error_of([&] { loader->next(); });
      EXPECT_TRUE(error.find(part) != std::string::npos) << error;
      EXPECT_FALSE(loader->next());
    }
  };
  const auto image = dir_ / "Imgs/käfer 14.png", mask = dir_ / "GT/käfer 14.png";  // in the second batch
  write_bytes(dir_ / "Imgs/käfer 15.png", "a later fault of the same batch");
  const std::string whole = read_bytes(image);
  write_bytes(image, whole.substr(0, whole.size() / 2));
  expect(image.string());
  write_bytes(image, whole);
  write_png(mask, test_mask(20, 30));
  expect(image.string() + ": is 46x54, its mask " + mask.string() + " is 30x20");
}

TEST_F(LoaderTest, AFileThatVanishesIsNamed) {
  const auto loader = make();
  const auto gone = dir_ / "GT/käfer 3.png";
  std::filesystem::remove(gone);
  loader->start(0);
  const std::string error = error_of([&] { rest_of(*loader); });
  EXPECT_TRUE(error.find(gone.string()) != std::string::npos) << error;
}

}  // namespace
}  // namespace codmoe::data
