#include "codmoe/data/packed_batches.h"

#include <chrono>
#include <cstddef>
#include <cstring>
#include <optional>
#include <set>
#include <thread>

#include "batches.h"
#include "codmoe/data/loader.h"
#include "codmoe/ops/augment_row.h"
#include "test_files.h"

namespace codmoe::data {
namespace {

constexpr int64_t kImages = 23;

/// A batch with a memory of its own.
struct Unpacked {
  std::vector<std::string> names;
  std::vector<Sample> samples;
  std::vector<std::optional<Sample>> donors;
  std::vector<ops::AugmentRow> rows;  // offsets, which depend on who was ready first, are 0
  int64_t side;
};

ops::AugmentRow row_at(const at::Tensor& rows_bn, int64_t i) {
  ops::AugmentRow row;
  std::memcpy(&row, rows_bn.const_data_ptr<uint8_t>() + i * rows_bn.size(1), sizeof(row));
  return row;
}

/// Padding lies behind the flags.
bool are_same(const ops::AugmentRow& a, const ops::AugmentRow& b) {
  return std::memcmp(&a, &b, offsetof(ops::AugmentRow, erase_with_noise)) == 0 &&
         a.erase_with_noise == b.erase_with_noise && a.binary_mask == b.binary_mask && a.salt_pepper == b.salt_pepper &&
         a.seed == b.seed;
}

Sample sample_at(const at::Tensor& pixels, const ops::AugmentSource& source) {
  const int64_t height = source.height, width = source.width;
  return {pixels.narrow(0, source.image, 3 * height * width).view({height, width, 3}).clone(),
          pixels.narrow(0, source.mask, height * width).view({height, width}).clone()};
}

void expect_same_sample(const Sample& a, const Sample& b, const std::string& name) {
  EXPECT_TRUE(at::equal(a.image, b.image)) << name;
  EXPECT_TRUE(at::equal(a.mask, b.mask)) << name;
}

class PackedBatchesTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    for (int64_t i = 0; i < kImages; ++i) write_pair(dir_, "image " + std::to_string(i), 40 + i, 60 - i, i);
    options_ = {.batch_size = 4, .size = 48, .threads = 2, .prefetch = 3};
  }

  std::shared_ptr<const Samples> samples() const {
    const auto dataset = std::make_shared<Dataset>(DatasetOptions{dir_, {}});
    return std::make_shared<Samples>(dataset, options_.largest_side());
  }
  std::unique_ptr<PackedBatches> make() const {
    return std::make_unique<PackedBatches>(samples(), options_, augment_, 5, /*pinned=*/false);
  }

  static Unpacked unpack(const PackedBatch& batch) {
    Unpacked result{batch.names, {}, {}, {}, batch.side};
    const auto pixels = at::cat(batch.pixels);
    for (int64_t i = 0; i < batch.rows_bn.size(0); ++i) {
      auto row = row_at(batch.rows_bn, i);
      result.samples.push_back(sample_at(pixels, row.source));
      result.donors.push_back(row.donor.height > 0 ? std::optional(sample_at(pixels, row.donor)) : std::nullopt);
      row.source.image = row.source.mask = row.donor.image = row.donor.mask = 0;
      result.rows.push_back(row);
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
      EXPECT_EQ(a[i].side, b[i].side);
      ASSERT_EQ(a[i].samples.size(), b[i].samples.size());
      for (std::size_t row = 0; row < a[i].samples.size(); ++row) {
        const auto& name = a[i].names[row];
        EXPECT_TRUE(are_same(a[i].rows[row], b[i].rows[row])) << name;
        expect_same_sample(a[i].samples[row], b[i].samples[row], name);
        ASSERT_EQ(a[i].donors[row].has_value(), b[i].donors[row].has_value()) << name;
        if (a[i].donors[row]) expect_same_sample(*a[i].donors[row], *b[i].donors[row], name);
      }
    }
  }

  /// Heights tell the files apart.
  static std::string name_of(const Sample& sample) { return "image " + std::to_string(sample.mask.size(0) - 40); }
  static bool takes(const Unpacked& batch, const std::string& name) {
    for (std::size_t row = 0; row < batch.names.size(); ++row) {
      if (batch.names[row] == name || (batch.donors[row] && name_of(*batch.donors[row]) == name)) return true;
    }
    return false;
  }
  Sample read(const std::string& name) const {
    return {read_image(dir_ / "Imgs" / (name + ".png")), read_mask(dir_ / "GT" / (name + ".png"))};
  }

  LoaderOptions options_;
  AugmentOptions augment_ = {.paste = 0.5};
};

TEST_F(PackedBatchesTest, RowsHoldTheFilesOfTheirNames) {
  std::set<std::string> seen;
  for (const auto& batch : rest(*make(), 2)) {
    for (std::size_t row = 0; row < batch.names.size(); ++row) {
      expect_same_sample(batch.samples[row], read(batch.names[row]), batch.names[row]);
      seen.insert(batch.names[row]);
    }
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(kImages));
}

TEST_F(PackedBatchesTest, DonorsAreOtherFiles) {
  int64_t donors = 0;
  for (int64_t number = 0; number < 4; ++number) {
    for (const auto& batch : rest(*make(), number)) {
      for (std::size_t row = 0; row < batch.names.size(); ++row) {
        const auto& donor = batch.donors[row];
        if (!donor) continue;
        ++donors;
        EXPECT_NE(name_of(*donor), batch.names[row]);
        expect_same_sample(*donor, read(name_of(*donor)), name_of(*donor));
      }
    }
  }
  EXPECT_NEAR(static_cast<double>(donors), 46, 5 * 4.8);  // half of 4 * 23
}

/// A file is missed at the first batch that takes it as a sample or as a donor, here as in the loader.
TEST_F(PackedBatchesTest, TakeTheDonorsOfTheLoader) {
  const auto whole = rest(*make(), 2);
  for (int64_t i = 0; i < kImages; ++i) {
    const auto name = "image " + std::to_string(i), file = (dir_ / "Imgs" / (name + ".png")).string();
    const auto bytes = read_bytes(file);
    write_bytes(file, "no picture");
    int64_t first = 0;
    while (!takes(whole[static_cast<std::size_t>(first)], name)) ++first;
    Loader loader(samples(), options_, augment_, 5);
    loader.start(2);
    const auto packed = make();
    packed->start(2, 0);
    for (int64_t batch = 0; batch < first; ++batch) {
      EXPECT_TRUE(loader.next()) << name;
      packed->wait(batch);
      packed->release();
    }
    EXPECT_NE(error_of([&] { loader.next(); }).find(name + ".png"), std::string::npos);
    EXPECT_NE(error_of([&] { packed->wait(first); }).find(name + ".png"), std::string::npos);
    write_bytes(file, bytes);
  }
}

TEST_F(PackedBatchesTest, SidesAreThoseOfTheLoader) {
  options_.scales = {0.7, 1.0, 2.0};
  Loader loader(samples(), options_, augment_, 5);
  loader.start(2);
  std::set<int64_t> sides;
  for (const auto& batch : rest(*make(), 2)) {
    EXPECT_EQ(batch.side, loader.next()->images.size(3));
    sides.insert(batch.side);
  }
  EXPECT_GE(sides.size(), 2U);
}

TEST_F(PackedBatchesTest, HoldWhatTheLoaderHoldsInItsOrder) {
  Loader loader(samples(), options_, augment_, 5);
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
  augment_.paste = 0;
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
