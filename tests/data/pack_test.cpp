#include "codmoe/data/pack.h"

#include "batches.h"
#include "codmoe/core/safetensors.h"
#include "codmoe/data/samples.h"
#include "test_files.h"

namespace codmoe::data {
namespace {

class PackTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    for (int64_t i = 0; i < 6; ++i) write_pair(set_, "käfer " + std::to_string(i), 30 + 3 * i, 45 - i, i);
    write_pair(set_, "large", 100, 130, 7);
    options_ = {.batch_size = 3, .size = 24, .threads = 2, .prefetch = 2};
  }

  std::filesystem::path pack(int64_t size = 0, const std::filesystem::path& list = {}) const {
    const auto file = dir_ / ("set-" + std::to_string(size) + ".safetensors");
    write_pack(std::make_shared<Dataset>(DatasetOptions{set_, list}), size, file);
    return file;
  }

  std::vector<Batch> epoch(const std::filesystem::path& dir, Cache cache, int64_t first = 0) const {
    const auto source =
        make_batch_source(std::make_shared<Dataset>(DatasetOptions{dir, {}}), options_, {}, cache, 5, c10::kCPU);
    source->start(2, first);
    return rest_of(*source);
  }

  static std::string error_of_opening(const std::filesystem::path& file) {
    return error_of([&] { Dataset({file, {}}); });
  }

  const std::filesystem::path set_ = dir_ / "set";
  LoaderOptions options_;
};

TEST_F(PackTest, StandsForItsFolder) {
  const auto expected = epoch(set_, Cache::none);
  for (const int64_t size : {0, 24}) {
    const auto file = pack(size);
    EXPECT_TRUE(is_pack(file));
    EXPECT_EQ(Dataset({file, {}}).fingerprint(), Dataset({set_, {}}).fingerprint());
    for (const auto cache : {Cache::none, Cache::ram}) expect_same(epoch(file, cache), expected);
    expect_same(epoch(file, Cache::none, 1), {expected.begin() + 1, expected.end()});
  }
  EXPECT_FALSE(is_pack(set_));
  EXPECT_FALSE(is_pack(set_ / "Imgs/large.png"));
}

TEST_F(PackTest, KeepsEveryPixelUnlessASizeIsGiven) {
  const Dataset packed({pack(), {}});
  for (const Item& item : packed.items()) {
    EXPECT_TRUE(at::equal(read_image(item), read_image(set_ / "Imgs" / (item.name + ".png")))) << item.name;
    EXPECT_TRUE(at::equal(read_mask(item), read_mask(set_ / "GT" / (item.name + ".png")))) << item.name;
  }
  packed.require_size(0);
  packed.require_size(4096);
}

TEST_F(PackTest, WhatWasReducedServesNoLargerBatches) {
  const Dataset packed({pack(24), {}});
  EXPECT_EQ(read_image(packed.item(6)).sizes(), (at::IntArrayRef{25, 26, 3}));
  packed.require_size(24);
  packed.require_size(16);
  options_.size = 32;
  const auto error = error_of([&] { epoch(pack(24), Cache::none); });
  EXPECT_NE(error.find("reduced for batches of 24 pixels"), std::string::npos) << error;
  EXPECT_NE(error_of([&] { packed.require_size(0); }).find("without --size"), std::string::npos);
  EXPECT_EQ(Dataset({pack(200), {}}).reduced_for(), 0);  // nothing was that large
}

TEST_F(PackTest, ListsChooseAndOrder) {
  write_bytes(dir_ / "list.txt", "large\nkäfer 2.png\n");
  const Dataset listed({pack(), dir_ / "list.txt"});
  ASSERT_EQ(listed.size(), 2);
  EXPECT_EQ(listed.item(0).name, "large");
  EXPECT_TRUE(at::equal(read_image(listed.item(1)), read_image(set_ / "Imgs/käfer 2.png")));
  EXPECT_EQ(Pack::open(pack(0, dir_ / "list.txt"))->names(), (std::vector<std::string>{"large", "käfer 2"}));
  write_bytes(dir_ / "other.txt", "käfer 9\n");
  EXPECT_NE(error_of([&] { Dataset({pack(), dir_ / "other.txt"}); }).find("käfer 9"), std::string::npos);
}

TEST_F(PackTest, ADamagedSampleIsNamed) {
  const auto file = pack();
  const auto whole = read_bytes(file);
  auto bytes = whole;
  bytes[bytes.size() - 1000] = static_cast<char>(bytes[bytes.size() - 1000] ^ 1);  // in the mask of the last name
  write_bytes(file, bytes);
  for (const auto cache : {Cache::none, Cache::ram}) {
    const auto error = error_of([&] { epoch(file, cache); });
    EXPECT_NE(error.find(file.string() + ": 'large' doesn't fit its checksum"), std::string::npos) << error;
  }
  write_bytes(file, whole);
  EXPECT_EQ(epoch(file, Cache::ram).size(), 3U);
}

TEST_F(PackTest, ADamagedFileIsRefused) {
  const auto file = pack();
  const auto whole = read_bytes(file);
  for (const auto length : {std::size_t{0}, std::size_t{7}, whole.size() / 2, whole.size() - 1}) {
    write_bytes(file, std::string_view(whole).substr(0, length));
    EXPECT_NE(error_of_opening(file).find(file.string()), std::string::npos) << length;
  }
  auto renamed = whole;
  renamed[renamed.find("käfer 1\\n") + std::string("käfer ").size()] = 'x';
  write_bytes(file, renamed);
  EXPECT_NE(error_of_opening(file).find("fingerprint"), std::string::npos);
}

TEST_F(PackTest, OtherFilesAreNoPacks) {
  const auto file = dir_ / "weights.safetensors";
  core::save_safetensors(file, {{"conv.weight", at::ones({2, 2})}});
  EXPECT_FALSE(is_pack(file));
  EXPECT_NE(error_of_opening(file).find("no packed set"), std::string::npos);
  write_bytes(dir_ / "photograph.jpg", small_jpeg());
  EXPECT_FALSE(is_pack(dir_ / "photograph.jpg"));
  EXPECT_NE(error_of_opening(dir_ / "photograph.jpg").find("photograph.jpg"), std::string::npos);
}

TEST_F(PackTest, TheSameSetGivesTheSameBytesAndADamagedOneNone) {
  const auto file = pack();
  const auto bytes = read_bytes(file);
  EXPECT_EQ(read_bytes(pack()), bytes);
  write_bytes(set_ / "Imgs/käfer 3.png", "no picture");
  EXPECT_NE(error_of([&] { pack(); }).find("käfer 3"), std::string::npos);
  EXPECT_EQ(read_bytes(file), bytes);
}

}  // namespace
}  // namespace codmoe::data
