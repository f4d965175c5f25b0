#include "codmoe/data/packed_batches.h"

#include <chrono>
#include <set>
#include <thread>

#include "batches.h"
#include "codmoe/data/loader.h"
#include "test_files.h"

namespace codmoe::data {
namespace {

constexpr int64_t kImages = 23;

/// A batch with a memory of its own.
struct Unpacked {
  std::vector<std::string> names;
  std::vector<at::Tensor> images, masks;
  at::Tensor changes;
};

class PackedBatchesTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    for (int64_t i = 0; i < kImages; ++i) write_pair(dir_, "image " + std::to_string(i), 40 + i, 60 - i, i);
    options_ = {.batch_size = 4, .size = 48, .threads = 2, .prefetch = 3};
  }

  std::unique_ptr<PackedBatches> make() const {
    const auto dataset = std::make_shared<Dataset>(DatasetOptions{dir_, {}});
    return std::make_unique<PackedBatches>(std::make_shared<Samples>(dataset, options_.size), options_,
                                           AugmentOptions{}, 5, /*pinned=*/false);
  }

  static Unpacked unpack(const PackedBatch& batch) {
    Unpacked result{batch.names, {}, {}, batch.changes_bp.clone()};
    const auto pixels = at::cat(batch.pixels);
    for (int64_t row = 0; row < batch.places_b4.size(0); ++row) {
      const auto* place = batch.places_b4.const_data_ptr<int64_t>() + 4 * row;
      const auto height = place[2], width = place[3];
      result.images.push_back(pixels.narrow(0, place[0], 3 * height * width).view({height, width, 3}).clone());
      result.masks.push_back(pixels.narrow(0, place[1], height * width).view({height, width}).clone());
    }
    return result;
  }

  static std::vector<Unpacked> rest(PackedBatches& batches, int64_t epoch, int64_t first = 0) {
    std::vector<Unpacked> all;
    batches.start(epoch, first);
    for (auto batch = first; batch < batches.batches_per_epoch(); ++batch) {
      all.push_back(unpack(batches.wait(batch)));
      batches.release();
    }
    return all;
  }

  static void expect_equal(const std::vector<Unpacked>& a, const std::vector<Unpacked>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].names, b[i].names);
      EXPECT_TRUE(at::equal(a[i].changes, b[i].changes));
      ASSERT_EQ(a[i].images.size(), b[i].images.size());
      for (std::size_t row = 0; row < a[i].images.size(); ++row) {
        EXPECT_TRUE(at::equal(a[i].images[row], b[i].images[row])) << a[i].names[row];
        EXPECT_TRUE(at::equal(a[i].masks[row], b[i].masks[row])) << a[i].names[row];
      }
    }
  }

  LoaderOptions options_;
};

TEST_F(PackedBatchesTest, RowsHoldTheFilesOfTheirNames) {
  std::set<std::string> seen;
  for (const auto& batch : rest(*make(), 2)) {
    for (std::size_t row = 0; row < batch.names.size(); ++row) {
      const auto file = batch.names[row] + ".png";
      EXPECT_TRUE(at::equal(batch.images[row], read_image(dir_ / "Imgs" / file))) << file;
      EXPECT_TRUE(at::equal(batch.masks[row], read_mask(dir_ / "GT" / file))) << file;
      seen.insert(file);
    }
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(kImages));
}

TEST_F(PackedBatchesTest, HoldWhatTheLoaderHoldsInItsOrder) {
  Loader loader(std::make_shared<Samples>(std::make_shared<Dataset>(DatasetOptions{dir_, {}}), options_.size), options_,
                {}, 5);
  loader.start(2);
  for (const auto& batch : rest(*make(), 2)) EXPECT_EQ(batch.names, loader.next()->names);
}

TEST_F(PackedBatchesTest, AnyNumberOfThreadsAndAnyStartGiveTheSame) {
  options_.threads = 1;
  const auto one = rest(*make(), 3);
  ASSERT_EQ(one.size(), 6U);
  EXPECT_EQ(one[5].names.size(), 3U);
  for (const auto& [threads, prefetch] : {std::pair<int64_t, int64_t>(2, 1), {8, 1}, {8, 5}, {0, 16}}) {
    options_.threads = threads;
    options_.prefetch = prefetch;
    const auto batches = make();
    expect_equal(rest(*batches, 3), one);
    for (int64_t first = 0; first <= 6; ++first)
      expect_equal(rest(*batches, 3, first), {one.begin() + first, one.end()});
  }
}

TEST_F(PackedBatchesTest, BuffersAreUsedAgain) {
  options_.threads = 8;
  const auto batches = make();
  std::set<const void*> buffers;
  for (int64_t epoch = 0; epoch < 20; ++epoch) {
    if (epoch == 10) buffers.clear();  // they have grown to the largest batch
    batches->start(epoch, 0);
    for (int64_t batch = 0; batch < 6; ++batch) {
      const auto& packed = batches->wait(batch);
      EXPECT_EQ(packed.bytes(), at::cat(packed.pixels).numel());
      for (const auto& part : packed.pixels) buffers.insert(part.const_data_ptr());
      batches->release();
    }
  }
  EXPECT_LE(buffers.size(), 3U);
}

TEST_F(PackedBatchesTest, SeveralBatchesCanBeHeld) {
  const auto expected = rest(*make(), 1);
  const auto batches = make();
  batches->start(1, 0);
  const auto& first = batches->wait(0);
  const auto& second = batches->wait(1);
  const auto& third = batches->wait(2);
  expect_equal({unpack(first), unpack(second), unpack(third)}, {expected[0], expected[1], expected[2]});
  EXPECT_FALSE(batches->is_ready(3));  // the window is full
  batches->release();
  batches->wait(3);
  EXPECT_TRUE(batches->is_ready(3));
  expect_equal({unpack(batches->wait(3))}, {expected[3]});
  expect_equal({unpack(second)}, {expected[1]});
}

TEST_F(PackedBatchesTest, AnEpochCanBeAbandonedAtAnyMoment) {
  options_.threads = 8;
  const auto wanted = rest(*make(), 2);
  const auto batches = make();
  for (int64_t taken = 0; taken < 4; ++taken) {
    batches->start(9, 0);
    for (int64_t i = 0; i < taken; ++i) {
      batches->wait(i);
      if (i % 2 == 0) batches->release();
      if (i % 2 != 0) break;
    }
    expect_equal(rest(*batches, 2), wanted);
  }
  for (int delay = 0; delay < 20; ++delay) {
    const auto other = make();
    other->start(0, 0);
    std::this_thread::sleep_for(std::chrono::microseconds(100 * delay));
  }
}

TEST_F(PackedBatchesTest, AFaultReachesItsBatchAndNamesTheFile) {
  options_.shuffle = false;  // "image 0", "image 1", "image 10" ... "image 13", "image 14": in the second batch
  write_bytes(dir_ / "Imgs/image 14.png", "no picture");
  for (const int64_t threads : {1, 8}) {
    options_.threads = threads;
    const auto batches = make();
    batches->start(0, 0);
    batches->wait(0);
    EXPECT_NE(error_of([&] { batches->wait(1); }).find("image 14.png"), std::string::npos);
    EXPECT_FALSE(batches->is_ready(1));
    batches->start(0, 2);
    EXPECT_EQ(batches->wait(2).names.size(), 4U);
  }
}

}  // namespace
}  // namespace codmoe::data
